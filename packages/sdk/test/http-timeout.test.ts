import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@miaou/sdk'
import { httpConnection } from '@miaou/sdk/http'
import { expect, test } from 'vitest'

test('a daemon that gave a request up unread (HTTP 408, as after a sleep) is a timeout, which may be tried again', async () => {
  const server = createServer((_, response) => response.writeHead(408).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect(
    httpConnection({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 'x' }),
  )
  await expect(client.identity.get()).rejects.toMatchObject({ code: 'timeout' })
  await client.close()
  server.close()
})
