import { errorKinds, MiaouError } from '@miaou/sdk/client'
import { createText } from '@miaou/text'
import { z } from 'zod'

/** Every answer that is no success. */
export interface ErrorAnswer {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly hint: string
    readonly facts: Record<string, unknown>
  }
}

export const errorAnswerSchema: z.ZodType<ErrorAnswer> = z
  .object({
    error: z.object({
      code: z.string().describe('One of the codes of spec/api.md'),
      message: z.string().describe('What happened and why, in English'),
      hint: z.string().describe('What to do next, in English'),
      facts: z.record(z.string(), z.unknown()).describe('What the code is about: ids, sizes, limits'),
    }),
  })
  .meta({ id: 'Error' })

const english = createText('en')

/** What a client is told: a code with its own facts and words, never a stack and never what it was caused by. */
export function toErrorAnswer(error: MiaouError): ErrorAnswer {
  const { message, hint } = english.error(error.code, error.facts)
  return { error: { code: error.code, message, hint, facts: { ...error.facts } } }
}

export function statusOf(error: MiaouError): number {
  return errorKinds[error.code].status
}

/** Fastify's own refusals and ours as one kind of error; anything else is a mistake of ours. */
export function toMiaouError(error: unknown, bodyBytesMax: number): MiaouError {
  if (error instanceof MiaouError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const detail = error instanceof Error ? error.message : ''
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new MiaouError('request-too-large', { sizeMax: bodyBytesMax })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new MiaouError('wrong-media-type')
    case 'FST_ERR_VALIDATION':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL':
      return new MiaouError('bad-request', { detail: detail.slice(0, 500) })
    default:
      if (error instanceof SyntaxError) return new MiaouError('bad-request', { detail: 'the body is not JSON' })
      return new MiaouError('internal', {}, { cause: error })
  }
}
