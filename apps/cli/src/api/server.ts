import { randomBytes } from 'node:crypto'
import type { Log } from '@miaou/core'
import { MiaouError } from '@miaou/sdk/client'
import fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { peerConnection } from '../peer/connection.ts'
import type { PeerHandle } from '../peer-handle.ts'
import { statusOf, toErrorAnswer, toMiaouError } from './error-answer.ts'
import { EventSockets } from './event-sockets.ts'
import { checkSource, givenToken, isToken, RateLimit } from './guards.ts'
import { addOpenApi } from './openapi.ts'
import { addRoutes } from './routes.ts'

export interface ApiOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** What callers must show; empty makes a fresh one of 32 random bytes. */
  readonly token: string
  /** Larger bodies are refused before they are read. 256 KiB: twice the longest text, as JSON escapes it. */
  readonly bodyBytesMax: number
  /** Guess: far above any program that works as meant. */
  readonly requestsPerSecond: number
  readonly requestsBurst: number
  /** HTTP connections at once; more are closed at once (guess). */
  readonly connectionsMax: number
  /** Event streams at once (guess: a few windows and bots of one person). */
  readonly streamsMax: number
  /** Bytes that may wait for one slow reader of events. */
  readonly streamBytesMax: number
  /** A reader that takes nothing for this long is cut; it resumes by cursor. */
  readonly streamSlowMs: number
  /** How often a stream says that it is alive. */
  readonly beatMs: number
}

export const defaultApiOptions: ApiOptions = {
  port: 0,
  token: '',
  bodyBytesMax: 256 * 1024,
  requestsPerSecond: 5_000,
  requestsBurst: 10_000,
  connectionsMax: 256,
  streamsMax: 32,
  streamBytesMax: 1024 * 1024,
  streamSlowMs: 10_000,
  beatMs: 15_000,
}

export interface ApiServer {
  readonly url: string
  readonly port: number
  readonly token: string
  close(): Promise<void>
}

const silentLog: Log = { write: () => undefined }

/** Serves a running peer to programs of this machine. The peer stays the caller's: closing the server leaves it running. */
export async function startApi(
  peer: PeerHandle,
  options: Partial<ApiOptions> = {},
  log: Log = silentLog,
): Promise<ApiServer> {
  const settings = { ...defaultApiOptions, ...options }
  const token = settings.token || randomBytes(32).toString('base64url')
  let port = 0
  const app = await createApi(peer, settings, token, () => port, log)
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

/** The server without its socket: for `inject` and for the OpenAPI document. */
export async function createApi(
  peer: PeerHandle,
  options: ApiOptions,
  token: string,
  port: () => number,
  log: Log = silentLog,
): Promise<FastifyInstance> {
  const { bodyBytesMax } = options
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    // A name in a path may be 256 characters, each up to 12 when escaped.
    routerOptions: { maxParamLength: 4096 },
    forceCloseConnections: true,
    requestTimeout: 180_000,
    keepAliveTimeout: 5_000,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, maxHeaderSize: 16 * 1024 },
  })
  app.removeContentTypeParser('text/plain')
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  const limit = new RateLimit(options.requestsPerSecond, options.requestsBurst, performance.now())
  app.addHook('onRequest', async ({ headers }) => {
    checkSource(headers, port())
    const retryAfterMs = limit.take(performance.now())
    if (retryAfterMs > 0) throw new MiaouError('rate-limited', { retryAfterMs })
    if (!isToken(givenToken(headers), token)) throw new MiaouError('unauthorised')
  })
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  })
  app.setErrorHandler((error, request, reply) => {
    const known = toMiaouError(error, bodyBytesMax)
    if (known.code === 'internal') log.write('error', 'api-failed', { operation: request.routeOptions.url ?? '?' })
    // What is left of a body that was refused must not be taken for the next request.
    if (known.code === 'request-too-large') reply.header('connection', 'close')
    return reply.status(statusOf(known)).send(toErrorAnswer(known))
  })
  app.setNotFoundHandler((request, reply) => {
    const error = new MiaouError('unknown-operation', { path: request.url.slice(0, 200) })
    return reply.status(statusOf(error)).send(toErrorAnswer(error))
  })
  await addOpenApi(app)
  addRoutes(app, peerConnection(peer, { isOwner: false }))
  app.get('/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  await app.ready()
  return app
}
