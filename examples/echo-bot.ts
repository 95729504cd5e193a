// Answers every message with its own text, also those that came while it was away.
// Run `miaou up` first, then: node examples/echo-bot.ts <home>
import { readFileSync } from 'node:fs'
import { connect } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'

const home = process.argv[2] ?? process.env['MIAOU_HOME'] ?? '.'
const readTarget = async () => JSON.parse(readFileSync(`${home}/api.json`, 'utf8'))
const miaou = connect(httpConnection({ ...(await readTarget()), relocate: readTarget }))

const bot = miaou.onMessage(async ({ id, contact, text }) => {
  // The key makes it one answer a message, whatever crashes in between.
  await miaou.messages.send(contact, text, { key: `echo-${id}` })
})
console.log(`echoing as ${(await miaou.identity.get()).name}`)
await bot.done
