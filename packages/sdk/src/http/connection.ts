import { z } from 'zod'
import type { Connection, EventOptions } from '../connection.ts'
import { isErrorCode, MiaouError } from '../error.ts'
import { type OperationInput, type OperationName, type OperationOutput, operations } from '../operations.ts'
import { SocketEvents } from './socket-events.ts'
import type { HttpTarget } from './target.ts'

export interface HttpConnectionOptions extends HttpTarget {
  /**
   * Asked for the target again when the daemon does not answer: one that was started anew has another port and token.
   * Event streams follow it; a call that failed is repeated only if it reads.
   */
  readonly relocate?: () => Promise<HttpTarget | undefined>
  /** How long one call may take, ms. Default 150,000: longer than the longest wait a call can ask for. */
  readonly timeoutMs?: number
}

const errorAnswerSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    hint: z.string(),
    facts: z.record(z.string(), z.unknown()).optional(),
  }),
})

/** The way to a running daemon: HTTP for calls, one WebSocket per event stream. Node ≥ 22 and browsers. */
export function httpConnection(options: HttpConnectionOptions): Connection {
  const closing = new AbortController()
  const { timeoutMs = 150_000, relocate } = options
  let target = trimmed(options)
  const refresh = async (): Promise<HttpTarget> => {
    const found = await relocate?.()
    if (found !== undefined) target = trimmed(found)
    return target
  }
  return {
    call: async (name, input) => {
      const before = target
      try {
        return await call({ ...before, timeoutMs }, closing.signal, name, input)
      } catch (error) {
        const isGone = error instanceof MiaouError && (error.code === 'no-peer' || error.code === 'unauthorised')
        if (!isGone || relocate === undefined) throw error
        const after = await refresh()
        // Whether the lost daemon still did what it was told is unknown: only reading may be asked twice.
        if (after.token === before.token || operations[name].method !== 'GET') throw error
        return call({ ...after, timeoutMs }, closing.signal, name, input)
      }
    },
    events: (eventOptions: EventOptions) => new SocketEvents(target, refresh, eventOptions, closing.signal),
    close: async () => closing.abort(),
  }
}

function trimmed({ url, token }: HttpTarget): HttpTarget {
  return { url: url.replace(/\/$/, ''), token }
}

/** RFC 9110 §15.5.9. */
const requestTimeout = 408

async function call<N extends OperationName>(
  { url, token, timeoutMs }: HttpTarget & { readonly timeoutMs: number },
  closing: AbortSignal,
  name: N,
  input: OperationInput<N>,
): Promise<OperationOutput<N>> {
  if (closing.aborted) throw new MiaouError('closed')
  const request = toRequest(name, input)
  const signal = AbortSignal.any([closing, AbortSignal.timeout(timeoutMs)])
  let response: Response
  let text: string
  try {
    response = await fetch(url + request.path, {
      method: operations[name].method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
      redirect: 'error',
      signal,
    })
    text = await response.text()
  } catch (cause) {
    if (closing.aborted) throw new MiaouError('closed', {}, { cause })
    if (signal.aborted) throw new MiaouError('timeout', { afterMs: timeoutMs }, { cause })
    throw new MiaouError('no-peer', { url }, { cause })
  }
  // A daemon that slept, or was frozen, in the middle of a request gives it up unread.
  if (response.status === requestTimeout) throw new MiaouError('timeout', { afterMs: timeoutMs })
  const body = parseJson(text)
  if (!response.ok) throw toError(response.status, body)
  const output = operations[name].output.safeParse(body)
  if (!output.success) throw new MiaouError('bad-answer', { detail: name }, { cause: output.error })
  // The schema of this very operation accepted it; TypeScript cannot follow the name through the table.
  return output.data as OperationOutput<N>
}

/** Splits an input into the path's fields, the query and the body. */
function toRequest(name: OperationName, input: object): { readonly path: string; readonly body: string | undefined } {
  const { method, path } = operations[name]
  const rest = new Map<string, unknown>(Object.entries(input).filter(([, value]) => value !== undefined))
  const filled = path.replace(/:(\w+)/g, (_, field: string) => {
    const value = String(rest.get(field))
    rest.delete(field)
    return encodeURIComponent(value)
  })
  if (method !== 'GET' && method !== 'DELETE') return { path: filled, body: JSON.stringify(Object.fromEntries(rest)) }
  if (rest.size === 0) return { path: filled, body: undefined }
  const query = new URLSearchParams([...rest].map(([field, value]) => [field, String(value)]))
  return { path: `${filled}?${query}`, body: undefined }
}

function toError(status: number, body: unknown): MiaouError {
  const answer = errorAnswerSchema.safeParse(body)
  if (!answer.success || !isErrorCode(answer.data.error.code)) {
    return new MiaouError('bad-answer', { detail: `HTTP ${status}` })
  }
  const { code, message, hint, facts } = answer.data.error
  return new MiaouError(code, facts, { message, hint })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
