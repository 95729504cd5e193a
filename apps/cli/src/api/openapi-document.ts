import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'
import { createApi, defaultApiOptions } from './app.ts'
import { addOpenApi } from './openapi.ts'

/** The OpenAPI document of this version, as it is committed. */
export async function openApiDocument(): Promise<object> {
  const app = await createApi(noPeer, defaultApiOptions, '', () => 0, { beforeRoutes: addOpenApi })
  const document = app.swagger()
  await app.close()
  return document
}

/** The document needs the routes, and the routes are never called. */
const noPeer: PeerHandle = new Proxy(Object.create(null), {
  get: (_, name) => {
    throw new MiaouError('internal', { name: String(name) })
  },
})
