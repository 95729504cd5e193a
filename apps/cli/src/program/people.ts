import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import type { ExitCode } from '../exit-code.ts'
import { addListenOptions, type Given, type Group, listenOptions, optional, parseCount, parsePort } from './define.ts'

export function definePeople(group: Group): void {
  defineRunning(group)
  const { define, text } = group
  define('id', 'help.id', async (context) => (await import('../commands/identity.ts')).id(context), {
    examples: ['miaou id', 'miaou id --json'],
  })
  define(
    'recover',
    'help.recover',
    async (context, _words, given) => (await import('../commands/recover.ts')).recover(context, given.text('from')),
    {
      options: (command) => command.option('--from <file>', text('help.from')),
      examples: ['miaou recover', 'miaou recover --from words.txt --profile new'],
    },
  )
  define(
    'rename <name>',
    'help.rename',
    async (context, [name = '']) => (await import('../commands/identity.ts')).rename(context, name),
    { examples: ['miaou rename "Alice"'] },
  )
  define(
    'invite',
    'help.invite',
    async (context, _words, given) => (await import('../commands/identity.ts')).invite(context, given.number('many')),
    {
      options: (command) => command.option('--many <count>', text('help.many'), parseCount(1_000)),
      examples: ['miaou invite', 'miaou invite --many 5'],
    },
  )
  define('settings [setting] [value]', 'help.settings', runSettings, {
    examples: [
      'miaou settings',
      'miaou settings typing off',
      'miaou settings discoverable contacts',
      'miaou settings jitterMs 500',
      'miaou settings coverTraffic low',
    ],
  })
  define('contacts [action] [who] [name]', 'help.contacts', runContacts, {
    options: (command) =>
      command
        .option('--as <name>', text('help.as'))
        .option('--note <text>', text('help.note'))
        .option('--reason <text>', text('help.report-reason'))
        .option('--out <file>', text('help.report-out'))
        .option('--yes', text('help.yes'))
        .option('--undo', text('help.undo')),
    examples: [
      'miaou contacts',
      'miaou contacts add miaou:invite/… --as Bob',
      'miaou contacts add miaou:invite/… --note "Bob, from the choir"',
      'miaou contacts requests',
      'miaou contacts accept Bob',
      'miaou contacts verify Bob [--yes | --undo]',
      'miaou contacts trust Bob [--yes]',
      'miaou contacts block Bob',
      'miaou contacts unblock Bob',
      'miaou contacts report Bob --reason "insults" --out report.json',
      'miaou contacts rename Bob Robert',
      'miaou contacts remove Bob',
    ],
  })
}

function defineRunning({ define, text }: Group): void {
  define(
    'start',
    'help.start',
    async (context, _words, given) => (await import('../commands/chat.ts')).start(context, listenOptions(given)),
    {
      options: (command) => addListenOptions(command, text),
      examples: ['miaou start', 'npm start -- --profile bob'],
    },
  )
  define(
    'up',
    'help.up',
    async (context, _words, given) => {
      const { up } = await import('../commands/up.ts')
      return up(context, { ...listenOptions(given), ...optional('apiPort', given.number('apiPort')) })
    },
    {
      options: (command) => {
        addListenOptions(command, text)
        command.option('--api-port <port>', text('help.api-port'), parsePort)
      },
      examples: ['miaou up', 'miaou up --passphrase-file /run/secrets/miaou', 'miaou up --no-passphrase --port 9998'],
    },
  )
}

async function runSettings(context: Context, [name = '', value = '']: readonly string[]): Promise<ExitCode> {
  const { parseSetting, settings } = await import('../commands/identity.ts')
  const change = name === '' ? undefined : parseSetting(name, value)
  if (name !== '' && change === undefined) throw new MiaouError('bad-request', { detail: `${name} ${value}` })
  return settings(context, change)
}

async function runContacts(
  context: Context,
  [action = '', who = '', name = '']: readonly string[],
  given: Given,
): Promise<ExitCode> {
  const contacts = await import('../commands/contacts.ts')
  if (action === '' || action === 'list') return contacts.listContacts(context)
  if (action === 'requests') return (await import('../commands/requests.ts')).listRequests(context)
  if (who === '') throw new MiaouError('bad-request', { detail: `contacts ${action} …` })
  switch (action) {
    case 'add':
      return contacts.addContact(context, who, {
        ...optional('as', given.text('as')),
        ...optional('note', given.text('note')),
      })
    case 'accept':
      return contacts.acceptContact(context, who)
    case 'verify':
      return contacts.verifyContact(context, who, { yes: given.flag('yes'), undo: given.flag('undo') })
    case 'trust':
      return (await import('../commands/requests.ts')).trustContact(context, who, { yes: given.flag('yes') })
    case 'report':
      return (await import('../commands/requests.ts')).reportContact(context, who, {
        ...optional('reason', given.text('reason')),
        ...optional('out', given.text('out')),
      })
    case 'block':
      return contacts.blockContact(context, who, true)
    case 'unblock':
      return contacts.blockContact(context, who, false)
    case 'rename':
      return contacts.renameContact(context, who, name)
    case 'remove':
      return contacts.removeContact(context, who)
    default:
      throw new MiaouError('bad-request', { detail: `contacts ${action}` })
  }
}
