import { join } from 'node:path'
import { run } from '../../net/commands.ts'
import type { LabTest } from '../lab-test.ts'

/** Two nodes of the overlay behind NATs of these kinds, in a world of their own: see overlay-punch.ts. */
function punch(a: 'port', b: 'port' | 'sym', shows: string): LabTest {
  return {
    name: `overlay ${a}–${b}`,
    group: 'scenario',
    shows,
    run: async () => {
      const said = await run(process.execPath, [join(import.meta.dirname, '../../overlay-punch.ts'), a, b])
      // The program judges by itself what its pair of NATs allows; its one line says how it went.
      const { there, back, openers } = JSON.parse(said) as {
        readonly there: { readonly ok: boolean; readonly value?: { readonly ms: number } }
        readonly back: { readonly ok: boolean }
        readonly openers: readonly number[]
      }
      return {
        punched: there.ok && back.ok,
        ...(there.value === undefined ? {} : { punchMs: Math.round(there.value.ms) }),
        openers: openers.join(' and '),
      }
    },
  }
}

export const overlayPunches: readonly LabTest[] = [
  punch('port', 'port', 'two overlay nodes behind port-restricted cones reach each other through a rendezvous'),
  punch(
    'port',
    'sym',
    'where no hole can be made the asker is told, and no more than three datagrams were sent for it',
  ),
]
