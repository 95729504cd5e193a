import { MiaouError } from '@miaou/sdk/client'
import { Option } from 'commander'
import type { Context } from '../context.ts'
import type { ExitCode } from '../exit-code.ts'
import { type Given, type Group, optional, parseCount, parseSeconds } from './define.ts'

/** Row G18. */
const limitDefault = 20
const limitMax = 200

export function defineMessages(group: Group): void {
  defineTalking(group)
  const { define, text } = group
  const limit = ['-l, --limit <count>', text('help.limit'), parseCount(limitMax)] as const
  define('history [who]', 'help.history', runHistory, {
    options: (command) =>
      command
        .option('-p, --peer <who>', text('help.peer'))
        .option(...limit)
        .option('--before <position>', text('help.before'), parseCount(Number.MAX_SAFE_INTEGER))
        .option('--full', text('help.full')),
    examples: ['miaou history Alice', 'miaou history Alice --full', 'miaou history Alice --limit 100 --json'],
  })
  define(
    'search <words...>',
    'help.search',
    async (context, words, given) =>
      (await import('../commands/messages.ts')).search(context, words.join(' '), {
        limit: given.number('limit') ?? limitDefault,
        ...optional('with', given.text('with')),
      }),
    {
      options: (command) => command.option('--with <who>', text('help.with')).option(...limit),
      examples: ['miaou search "red bicycle"', 'miaou search bicycle --with Alice'],
    },
  )
  define(
    'export',
    'help.export',
    async (context, _words, given) =>
      (await import('../commands/messages.ts')).exportAll(context, {
        format: given.text('format') === 'json' ? 'json' : 'jsonl',
        ...optional('with', given.text('with')),
        ...optional('out', given.text('out')),
      }),
    {
      options: (command) =>
        command
          .option('--with <who>', text('help.with'))
          .option('--out <file>', text('help.out'))
          .addOption(new Option('--format <format>', text('help.format')).choices(['jsonl', 'json']).default('jsonl')),
      examples: ['miaou export > miaou.jsonl', 'miaou export --format json --out miaou.json'],
    },
  )
}

function defineTalking({ define, text }: Group): void {
  define('send [who] [text...]', 'help.send', runSend, {
    options: (command) =>
      command
        .option('-t, --to <who>', text('help.to'))
        .option('-m, --message <text>', text('help.message'))
        .option('--wait <seconds>', text('help.wait'), parseSeconds)
        .option('--confirm', text('help.confirm'))
        .option('--key <key>', text('help.idempotency-key')),
    examples: [
      'miaou send Alice "See you at eight"',
      'miaou send -t Alice -m "See you at eight" --wait 30',
      'date | miaou send Alice -',
    ],
  })
  define(
    'recv',
    'help.recv',
    async (context, _words, given) =>
      (await import('../commands/messages.ts')).recv(context, {
        follow: given.flag('follow'),
        wait: given.number('wait') ?? 5,
      }),
    {
      options: (command) =>
        command
          .option('-f, --follow', text('help.follow'))
          .option('--wait <seconds>', text('help.recv-wait'), parseSeconds),
      examples: ['miaou recv', 'miaou recv --follow --json'],
    },
  )
  define(
    'chat <who>',
    'help.chat',
    async (context, [who = '']) => (await import('../commands/chat.ts')).chat(context, who),
    { examples: ['miaou chat Alice'] },
  )
}

async function runSend(context: Context, [first = '', ...rest]: readonly string[], given: Given): Promise<ExitCode> {
  const named = given.text('to')
  const to = named ?? first
  if (to === '') throw new MiaouError('bad-request', { detail: 'miaou send <who> "<text>"' })
  // With -t every word belongs to the text.
  const words = named === undefined ? rest : [first, ...rest].filter((word) => word !== '')
  const body = given.text('message') ?? words.join(' ')
  if (body === '') throw new MiaouError('empty-text')
  return (await import('../commands/messages.ts')).send(context, to, body, {
    wait: given.number('wait') ?? 10,
    confirm: given.flag('confirm'),
    ...optional('key', given.text('key')),
  })
}

async function runHistory(context: Context, [first = '']: readonly string[], given: Given): Promise<ExitCode> {
  const who = given.text('peer') ?? first
  if (who === '') throw new MiaouError('bad-request', { detail: 'miaou history <who>' })
  return (await import('../commands/messages.ts')).history(context, who, {
    limit: given.number('limit') ?? limitDefault,
    isFull: given.flag('full'),
    ...optional('before', given.number('before')),
  })
}
