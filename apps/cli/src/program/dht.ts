import { MiaouError } from '@miaou/sdk/client'
import { type Define, type Group, optional, parseCount } from './define.ts'

/** The commands of the overlay (rows I07, I08, E27). */
export function defineDht({ define, program, text }: Group): void {
  const parent = program.command('dht').description(text('help.dht'))
  const defineHere: Define = (name, help, run, more) => define(name, help, run, { ...more, parent })
  const group = { define: defineHere, program, text }
  defineRecords(group)
  defineNodes(group)
}

function defineRecords({ define, text }: Group): void {
  define(
    'put [value...]',
    'help.dht-put',
    async (context, words, given) =>
      (await import('../commands/dht.ts')).put(context, words, {
        ...optional('salt', given.text('salt')),
        ...optional('file', given.text('file')),
      }),
    {
      options: (command) =>
        command.option('--salt <name>', text('help.salt')).option('--file <file>', text('help.value-file')),
      examples: [
        'miaou dht put "Hello"',
        'miaou dht put --file card.txt',
        'miaou dht put signing 3b6a27bc…',
        'miaou dht put signing release',
        'miaou dht put --salt status "On holiday until Monday"',
      ],
    },
  )
  define(
    'get <key-or-peer> [signing]',
    'help.dht-get',
    async (context, words, given) =>
      (await import('../commands/dht.ts')).get(context, words, {
        raw: given.flag('raw'),
        ...optional('salt', given.text('salt')),
        ...optional('out', given.text('out')),
      }),
    {
      options: (command) =>
        command
          .option('--salt <name>', text('help.salt'))
          .option('--raw', text('help.raw'))
          .option('--out <file>', text('help.value-out')),
      examples: [
        'miaou dht get 185f8db3…',
        'miaou dht get 185f8db3… --out card.txt',
        'miaou dht get 12D3KooW… signing',
        'miaou dht get Alice --salt status',
      ],
    },
  )
}

function defineNodes({ define, text }: Group): void {
  define('info', 'help.dht-info', async (context) => (await import('../commands/dht-info.ts')).dhtInfo(context), {
    examples: ['miaou dht info', 'miaou dht info --json'],
  })
  define(
    'find <target>',
    'help.dht-find',
    async (context, [target = '']) => (await import('../commands/dht.ts')).find(context, target),
    { examples: ['miaou dht find 185f8db3…', 'miaou dht find 12D3KooW…'] },
  )
  define(
    'ping <node>',
    'help.dht-ping',
    async (context, [node = ''], given) =>
      (await import('../commands/dht.ts')).pingNode(context, node, given.number('count') ?? 1),
    {
      options: (command) => command.option('-c, --count <count>', text('help.count'), parseCount(1_000)),
      examples: [
        'miaou dht ping hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo@192.168.1.7:9999',
        'miaou dht ping hSDwCYkw…@3p7bfXt9…@203.0.113.5:9999',
      ],
    },
  )
  define(
    'bootstrap <nodes...>',
    'help.dht-bootstrap',
    async (context, nodes) => {
      if (nodes.length > 32) throw new MiaouError('bad-request', { detail: '<nodes> ≤ 32' })
      return (await import('../commands/dht.ts')).bootstrap(context, nodes)
    },
    { examples: ['miaou dht bootstrap hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo@192.168.1.7:9999'] },
  )
}
