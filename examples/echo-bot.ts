// Answers every message with its own text, and accepts whoever wants to talk.
// Run `miaou up` first, then: node examples/echo-bot.ts <home>
import { readFileSync } from 'node:fs'
import { connect } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'

const home = process.argv[2] ?? process.env['MIAOU_HOME'] ?? ''
const miaou = connect(httpConnection(JSON.parse(readFileSync(`${home}/api.json`, 'utf8'))))

console.log((await miaou.invites.create(100)).invite)
const { done } = miaou.onMessage(async ({ id, contact, text }) => {
  const sender = (await miaou.contacts.list()).find(({ account }) => account === contact)
  if (sender?.state === 'request') await miaou.contacts.accept(contact)
  await miaou.messages.send(contact, `You said: ${text}`, { key: `echo-${id}` })
})
await done
