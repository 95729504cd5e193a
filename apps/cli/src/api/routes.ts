import {
  type Connection,
  commonErrors,
  errorKinds,
  type Operation,
  type OperationInput,
  type OperationName,
  operationNames,
  operations,
} from '@miaou/sdk'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { errorAnswerSchema } from './error-answer.ts'

/** One route for each operation of the table. */
export function addRoutes(app: FastifyInstance, connection: Connection): void {
  for (const name of operationNames) addRoute(app, connection, name)
}

function addRoute<N extends OperationName>(app: FastifyInstance, connection: Connection, name: N): void {
  const operation: Operation = operations[name]
  const inPath = new Set([...operation.path.matchAll(/:(\w+)/g)].map((match) => match[1]))
  const fields = Object.entries(operation.input.shape)
  const rest = z.object(Object.fromEntries(fields.filter(([field]) => !inPath.has(field))))
  const hasBody = operation.method !== 'GET' && operation.method !== 'DELETE'
  app.route({
    method: operation.method,
    url: operation.path,
    schema: {
      operationId: name,
      summary: operation.summary,
      tags: [name.split('.')[0] ?? name],
      ...(inPath.size === 0
        ? {}
        : { params: z.object(Object.fromEntries(fields.filter(([field]) => inPath.has(field)))) }),
      ...(hasBody ? { body: rest } : { querystring: rest }),
      response: { 200: answer('Done', operation.output), ...errorResponses(operation) },
    },
    preValidation: async (request) => {
      if (hasBody) request.body ??= {}
      else request.query = readQuery(rest, request)
    },
    handler: async (request) => {
      const input = { ...toObject(request.params), ...toObject(hasBody ? request.body : request.query) }
      // Params, query and body passed the very schemas that the input is made of.
      return connection.call(name, input as OperationInput<N>)
    },
  })
}

/** By status: the codes that it may stand for, and the one shape they all have. */
function errorResponses(operation: Operation): Record<number, object> {
  const codes = [...new Set([...commonErrors, ...operation.errors])]
  const byStatus = Map.groupBy(codes, (code) => errorKinds[code].status)
  return Object.fromEntries([...byStatus].map(([status, list]) => [status, answer(list.join(', '), errorAnswerSchema)]))
}

function answer(description: string, schema: z.ZodType): object {
  return { description, content: { 'application/json': { schema } } }
}

/** Query values are texts; a field whose schema refuses a text is read as a number or a truth value. */
function readQuery(schema: z.ZodObject, request: FastifyRequest): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(toObject(request.query))) {
    const fieldSchema: z.ZodType | undefined = schema.shape[field]
    const isText = fieldSchema === undefined || fieldSchema.safeParse(value).success
    values[field] = isText ? value : value === 'true' || value === 'false' ? value === 'true' : Number(value)
  }
  return values
}

function toObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
