// Answers every message with its own text. Run `miaou up` first, then: node examples/echo-bot.ts HOME
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'

const home = process.argv[2] ?? process.env['MIAOU_HOME'] ?? '.'
const { url, token } = JSON.parse(readFileSync(join(home, 'api.json'), 'utf8'))
const miaou = connect(httpConnection({ url, token }))
console.log(`echoing as ${(await miaou.identity.get()).name}`)

// `after: 0`: what came while the bot was away is echoed too. The key makes an echo happen once, however often it restarts.
for await (const { event } of miaou.events({ after: 0 })) {
  if (event.type !== 'message-received') continue
  const { id, contact, text } = event.message
  await miaou.messages.send(contact, text, { key: `echo-${id}` })
}
