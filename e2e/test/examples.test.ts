import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { befriend, cleanEnvironment, Household, receivedTexts, until } from '@miaou/testkit/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'

const program = join(import.meta.dirname, '../../examples/echo-bot.ts')
let house: Household
let bots: ChildProcess[]

beforeEach(() => {
  house = new Household()
  bots = []
})

afterEach(async () => {
  for (const bot of bots) bot.kill('SIGKILL')
  await house.end()
})

/** Starts the bot; resolves when it has told its name. */
async function startBot(home: string): Promise<ChildProcess> {
  const bot = spawn(process.execPath, [program, home], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: cleanEnvironment(home),
  })
  bots.push(bot)
  let said = ''
  bot.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await until('the bot to say who it is', () => (said === 'echoing as bot\n' ? true : undefined))
  return bot
}

test('examples/echo-bot.ts answers each message once, also what came while it was away and after a crash', async () => {
  const [alice, host] = await Promise.all([house.start('alice'), house.start('bot')])
  const echoes = (count: number) =>
    until(`${count} echoes`, async () => {
      const texts = await receivedTexts(alice.client, 'Bot')
      return texts.length >= count ? texts : undefined
    })
  await befriend({ client: alice.client, name: 'Alice' }, { client: host.client, name: 'Bot' })
  await alice.client.messages.send('Bot', 'before it runs')
  const bot = await startBot(host.home)
  await alice.client.messages.send('Bot', 'while it runs')
  await echoes(2)
  const ended = once(bot, 'exit')
  bot.kill('SIGKILL')
  await ended
  await alice.client.messages.send('Bot', 'while it is away')
  await startBot(host.home)
  await alice.client.messages.send('Bot', 'after a crash')
  expect(await echoes(4)).toEqual(['before it runs', 'while it runs', 'while it is away', 'after a crash'])
})
