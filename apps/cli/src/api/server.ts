import { randomBytes } from 'node:crypto'
import type { Log } from '@miaou/core'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'
import { type ApiOptions, createApi, defaultApiOptions } from './app.ts'
import { EventSockets } from './event-sockets.ts'

export interface ApiServer {
  readonly url: string
  readonly port: number
  readonly token: string
  close(): Promise<void>
}

const silentLog: Log = { write: () => undefined }

/** Made when somebody asks for it: its tools are a third of what a daemon would load. */
async function document(): Promise<object> {
  return (await import('./openapi-document.ts')).openApiDocument()
}

/** Serves a running peer to programs of this machine. The peer stays the caller's: closing the server leaves it running. */
export async function startApi(
  peer: PeerHandle,
  options: Partial<ApiOptions> = {},
  log: Log = silentLog,
): Promise<ApiServer> {
  const settings = { ...defaultApiOptions, ...options }
  const token = settings.token || randomBytes(32).toString('base64url')
  let port = 0
  const app = await createApi(peer, settings, token, () => port, { log, document })
  const sockets = new EventSockets(peer, settings, token, () => port)
  app.server.maxConnections = settings.connectionsMax
  app.server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
  await app.listen({ host: '127.0.0.1', port: settings.port })
  const address = app.server.address()
  if (address === null || typeof address === 'string') throw new MiaouError('internal')
  port = address.port
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    token,
    close: async () => {
      sockets.close()
      await app.close()
    },
  }
}
