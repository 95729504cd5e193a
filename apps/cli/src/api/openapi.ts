import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'

/** Makes the OpenAPI 3.1 document from the routes added after it. */
export async function addOpenApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Miaou local API',
        description:
          'A running Miaou peer, for programs of the same person on the same machine. Events: WebSocket /v1/events, see spec/api.md.',
        version: '1.0.0',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [
        { url: 'http://127.0.0.1:{port}', variables: { port: { default: '0', description: 'From api.json' } } },
      ],
      security: [{ bearer: [] }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => withoutInputTwins(jsonSchemaTransformObject(document)),
  })
}

/** Named shapes are written twice, as they come in and as they go out; ours only go out. */
function withoutInputTwins<T extends object>(document: T): T {
  if (!('components' in document) || typeof document.components !== 'object' || document.components === null)
    return document
  if (!('schemas' in document.components)) return document
  const { schemas } = document.components
  if (typeof schemas !== 'object' || schemas === null) return document
  const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => !name.endsWith('Input')))
  return { ...document, components: { ...document.components, schemas: kept } }
}
