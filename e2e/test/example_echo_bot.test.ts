import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { befriend, Household, receivedTexts, until } from '@miaou/testkit/processes'
import { afterEach, expect, test } from 'vitest'

const program = join(import.meta.dirname, '../../examples/echo-bot.ts')
const house = new Household()
const bots: ChildProcess[] = []

afterEach(async () => {
  for (const bot of bots.splice(0)) bot.kill('SIGKILL')
  await house.end()
})

async function startBot(home: string): Promise<ChildProcess> {
  const bot = spawn(process.execPath, [program, home], { stdio: ['ignore', 'pipe', 'inherit'] })
  bots.push(bot)
  const [said] = await once(bot.stdout ?? bot, 'data')
  expect(String(said)).toBe('echoing as bot\n')
  return bot
}

test('examples/echo-bot.ts answers each message once, also what came while it was away and after a crash', async () => {
  const [alice, host] = await Promise.all([house.start('alice'), house.start('bot')])
  await befriend({ client: alice.client, name: 'Alice' }, { client: host.client, name: 'Bot' })
  await alice.client.messages.send('Bot', 'before it runs')
  const bot = await startBot(host.home)
  await alice.client.messages.send('Bot', 'while it runs')
  await until('two echoes', async () => ((await receivedTexts(alice.client, 'Bot')).length === 2 ? true : undefined))
  const ended = once(bot, 'exit')
  bot.kill('SIGKILL')
  await ended
  await startBot(host.home)
  await alice.client.messages.send('Bot', 'after a crash')
  await until('the third echo', async () => ((await receivedTexts(alice.client, 'Bot')).length >= 3 ? true : undefined))
  expect(await receivedTexts(alice.client, 'Bot')).toEqual(['before it runs', 'while it runs', 'after a crash'])
})
