/**
 * How the bench talks to a peer in a namespace: a JSON line on standard input asks, a JSON line on standard output tells.
 * Times are ms of the machine's monotonic clock, which all processes and namespaces read alike.
 */
import { createInterface } from 'node:readline'

export const now = () => Number(process.hrtime.bigint()) / 1e6

export function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`)
}

/** Has requests answered by the handler of their `type`; what goes wrong is told, and ends nothing. */
export function serve(handlers) {
  const fail = (error) =>
    tell({ type: 'fault', error: String(error?.message ?? error?.error?.message ?? error?.type ?? error) })
  process.on('unhandledRejection', fail)
  process.on('uncaughtException', fail)
  createInterface({ input: process.stdin })
    .on('line', async (line) => {
      const { type, ...request } = JSON.parse(line)
      try {
        await handlers[type](request)
      } catch (error) {
        fail(error)
      }
    })
    .on('close', () => process.exit(0))
}

/** Bytes of the text that both sides of a bench send first. */
export const textBytes = 100
