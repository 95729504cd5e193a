import type { Log } from '@miaou/core'
import { MiaouError } from '@miaou/sdk/client'
import fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { peerConnection } from '../peer/connection.ts'
import type { PeerHandle } from '../peer-handle.ts'
import { statusOf, toErrorAnswer, toMiaouError } from './error-answer.ts'
import { checkSource, givenToken, isToken, RateLimit } from './guards.ts'
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

export interface AppParts {
  readonly log?: Log
  /** Sees the application while it has no routes. */
  readonly beforeRoutes?: (app: FastifyInstance) => Promise<void>
  /** Answers `/v1/openapi.json`. */
  readonly document?: () => Promise<object>
}

/** The server without its socket: for `inject` and for the OpenAPI document. */
export async function createApi(
  peer: PeerHandle,
  options: ApiOptions,
  token: string,
  port: () => number,
  parts: AppParts = {},
): Promise<FastifyInstance> {
  const { bodyBytesMax } = options
  const app = fastify({
    logger: false,
    bodyLimit: bodyBytesMax,
    // A name in a path may be 256 characters, each up to 12 when escaped.
    routerOptions: { maxParamLength: 4096 },
    // Ours are set below; Fastify would load its own first, and they are as large as the rest of it.
    schemaController: {
      compilersFactory: { buildValidator: notUsed, buildSerializer: notUsed },
    },
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
    if (known.code === 'internal') {
      parts.log?.write('error', 'api-failed', { operation: request.routeOptions.url ?? '?' })
      parts.log?.write('debug', 'api-failed', { cause: error instanceof Error ? (error.stack ?? '') : String(error) })
    }
    // What is left of a body that was refused must not be taken for the next request.
    if (known.code === 'request-too-large') reply.header('connection', 'close')
    return reply.status(statusOf(known)).send(toErrorAnswer(known))
  })
  app.setNotFoundHandler((request, reply) => {
    const error = new MiaouError('unknown-operation', { path: request.url.slice(0, 200) })
    return reply.status(statusOf(error)).send(toErrorAnswer(error))
  })
  await parts.beforeRoutes?.(app)
  addRoutes(app, peerConnection(peer, { isOwner: false }))
  const { document } = parts
  if (document !== undefined) app.get('/v1/openapi.json', async () => document())
  await app.ready()
  return app
}

function notUsed(): never {
  throw new MiaouError('internal')
}
