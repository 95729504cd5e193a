import { type Define, type Group, parseSeconds } from './define.ts'

/** The commands of gossip (rows E20–E24, in the product). */
export function defineGossip({ define, program, text }: Group): void {
  const parent = program.command('gossip').description(text('help.gossip'))
  const defineHere: Define = (name, help, run, more) => define(name, help, run, { ...more, parent })
  defineHere(
    'publish <topic> <text>',
    'help.gossip-publish',
    async (context, [topic = '', words = ''], given) =>
      (await import('../commands/gossip.ts')).publish(context, topic, words, given.number('wait') ?? 10),
    {
      options: (command) => command.option('--wait <seconds>', text('help.gossip-wait'), parseSeconds),
      examples: ['miaou gossip publish garden "The plums are ripe"', 'date | miaou gossip publish garden -'],
    },
  )
  defineHere(
    'follow <topic>',
    'help.gossip-follow',
    async (context, [topic = '']) => (await import('../commands/gossip.ts')).follow(context, topic),
    { examples: ['miaou gossip follow garden', 'miaou gossip follow garden --json'] },
  )
  defineHere(
    'info',
    'help.gossip-info',
    async (context) => (await import('../commands/gossip.ts')).gossipInfo(context),
    { examples: ['miaou gossip info', 'miaou gossip info --json'] },
  )
}
