// The client and its errors without the schemas: `@miaou/sdk/client`. zod is most of what the package costs to load, and a
// short command must start fast.
export { connect, MiaouClient } from './client.ts'
export { errorKinds, isErrorCode, MiaouError } from './error.ts'
export { EventQueue } from './event-queue.ts'
