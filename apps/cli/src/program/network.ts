import { MiaouError } from '@miaou/sdk/client'
import {
  addListenOptions,
  type Given,
  type Group,
  listenOptions,
  optional,
  parseCount,
  parseSeconds,
  parseSecondsList,
} from './define.ts'

/** Row I04: waits before each new look at the network, s. */
const connectRetrySeconds = [1, 2, 3]
/** How long a relay or a mailbox has to answer a command that started the peer itself, s (own choice). */
const relayWaitSeconds = 10

export function defineNetwork({ define, program, text }: Group): void {
  const parent = program.command('net').description(text('help.net'))
  define(
    'start',
    'help.net-start',
    async (context, _words, given) => {
      const { up } = await import('../commands/up.ts')
      return up(context, { ...listenOptions(given), ...optional('duration', given.number('duration')) })
    },
    {
      parent,
      options: (command) => {
        addListenOptions(command, text)
        command.option('--duration <seconds>', text('help.duration'), parseSeconds)
      },
      examples: ['miaou net start --duration 60'],
    },
  )
  define(
    'list-peers',
    'help.net-list-peers',
    async (context, _words, given) => (await import('../commands/network.ts')).listPeers(context, given.flag('follow')),
    {
      parent,
      options: (command) => command.option('-f, --follow', text('help.follow')),
      examples: ['miaou net list-peers', 'miaou net unified list-peers'],
    },
  )
  define('info', 'help.net-info', async (context) => (await import('../commands/network.ts')).info(context), {
    parent,
    examples: ['miaou net info'],
  })
  define(
    'diagnostics [peer]',
    'help.net-diagnostics',
    async (context, [peer = ''], given) =>
      (await import('../commands/diagnostics.ts')).diagnostics(context, given.text('peerId') ?? peer),
    {
      parent,
      options: (command) => command.option('-p, --peer-id <id>', text('help.diagnose-peer')),
      examples: ['miaou net diagnostics', 'miaou net diagnostics Alice'],
    },
  )
  defineReaching({ define: (name, help, run, more) => define(name, help, run, { ...more, parent }), program, text })
}

function defineReaching({ define, text }: Group): void {
  define(
    'connect [peer]',
    'help.net-connect',
    async (context, [peer = ''], given) =>
      (await import('../commands/network.ts')).connectPeer(context, target(peer, given), {
        timeoutMs: (given.number('timeout') ?? 15) * 1000,
        retryMs: (given.numbers('retry') ?? connectRetrySeconds).map((seconds) => seconds * 1000),
        ...optional('message', given.text('message')),
      }),
    {
      options: (command) =>
        command
          .option('-p, --peer-id <id>', text('help.peer-id'))
          .option('-m, --message <text>', text('help.message'))
          .option('--timeout <seconds>', text('help.timeout'), parseSeconds)
          .option('--retry <seconds,…>', text('help.retry'), parseSecondsList),
      examples: ['miaou net connect 12D3KooW… -m "Hello"', 'miaou net connect ws://192.168.1.7:9999'],
    },
  )
  define(
    'ping [peer]',
    'help.net-ping',
    async (context, [peer = ''], given) =>
      (await import('../commands/ping.ts')).ping(context, target(peer, given), {
        count: given.number('count') ?? 1,
        timeoutMs: (given.number('timeout') ?? 10) * 1000,
      }),
    {
      options: (command) =>
        command
          .option('-p, --peer-id <id>', text('help.peer-id'))
          .option('-c, --count <count>', text('help.count'), parseCount(1_000))
          .option('--timeout <seconds>', text('help.timeout'), parseSeconds),
      examples: ['miaou net ping Alice', 'miaou net ping 12D3KooW… --count 5'],
    },
  )
}

export function defineRelay({ define, program, text }: Group): void {
  const parent = program.command('relay').description(text('help.relay'))
  const seconds = (given: Given) => given.number('wait') ?? relayWaitSeconds
  define(
    'list',
    'help.relay-list',
    async (context, _words, given) =>
      (await import('../commands/relay.ts')).listRelays(context, seconds(given) * 1_000),
    {
      parent,
      options: (command) => command.option('--wait <seconds>', text('help.relay-wait'), parseSeconds),
      examples: ['miaou relay list'],
    },
  )
  define(
    'add <relay>',
    'help.relay-add',
    async (context, [relay = '']) => (await import('../commands/relay.ts')).addRelay(context, relay),
    { parent, examples: ['miaou relay add 22-characters-as-given@wss://relay.example.org'] },
  )
  define(
    'remove <relay>',
    'help.relay-remove',
    async (context, [relay = '']) => (await import('../commands/relay.ts')).removeRelay(context, relay),
    { parent, examples: ['miaou relay remove 22-characters-as-given'] },
  )
  define('info', 'help.relay-info', async (context) => (await import('../commands/relay.ts')).relayInfo(context), {
    parent,
    examples: ['miaou relay info', 'miaou relay info --json'],
  })
}

export function defineMailbox({ define, program, text }: Group): void {
  const parent = program.command('mailbox').description(text('help.mailbox'))
  const seconds = (given: Given) => given.number('wait') ?? relayWaitSeconds
  define(
    'list',
    'help.mailbox-list',
    async (context, _words, given) =>
      (await import('../commands/mailbox.ts')).listMailboxes(context, seconds(given) * 1_000),
    {
      parent,
      options: (command) => command.option('--wait <seconds>', text('help.mailbox-wait'), parseSeconds),
      examples: ['miaou mailbox list'],
    },
  )
  define(
    'add <mailbox>',
    'help.mailbox-add',
    async (context, [mailbox = '']) => (await import('../commands/mailbox.ts')).addMailbox(context, mailbox),
    { parent, examples: ['miaou mailbox add 22-characters-as-given@wss://mail.example.org'] },
  )
  define(
    'remove <mailbox>',
    'help.mailbox-remove',
    async (context, [mailbox = '']) => (await import('../commands/mailbox.ts')).removeMailbox(context, mailbox),
    { parent, examples: ['miaou mailbox remove 22-characters-as-given'] },
  )
  define(
    'info',
    'help.mailbox-info',
    async (context) => (await import('../commands/mailbox.ts')).mailboxInfo(context),
    {
      parent,
      examples: ['miaou mailbox info', 'miaou mailbox info --json'],
    },
  )
}

function target(peer: string, given: Given): string {
  const named = given.text('peerId') ?? peer
  if (named === '') throw new MiaouError('bad-request', { detail: '<peer>' })
  return named
}
