import { expect, type LabTest } from './lab-test.ts'
import { meetAcross, relaysOf } from './matrix.ts'
import type { Stage } from './stage.ts'

/** How long a planted fault is given to go unnoticed, ms: own choice, several times what the honest test takes. */
const withinMs = 8_000

/** The message with which something failed; rejects when it passed. */
async function failure(passes: Promise<unknown>): Promise<string> {
  try {
    await passes
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  throw new Error('the planted fault was not noticed')
}

async function expectFailure(passes: Promise<unknown>, words: RegExp): Promise<{ noticed: string }> {
  const why = await failure(passes)
  expect(words.test(why), `it failed for another reason: ${why}`)
  return { noticed: why.split('\n')[0]?.slice(0, 100) ?? '' }
}

const dropsEverything = async (stage: Stage) => {
  const lab = await stage.build({ a: 'sym', b: 'sym' })
  const relays = await relaysOf(stage, lab)
  const noticed = await expectFailure(
    meetAcross(lab, relays, {
      a: 'sym',
      b: 'sym',
      withinMs,
      // Both relays have taken the reservations, and from now on carry nothing.
      sabotage: async () => {
        for (const { places } of relays) for (const place of places) await lab.net.silence(place)
      },
    }),
    /first message/,
  )
  return noticed
}

/** Tests of the tests: each has a fault in it, and passes when the fault is noticed. */
export const plantedFaults: readonly LabTest[] = [
  {
    name: 'planted: relays drop everything',
    group: 'self-test',
    shows: 'that a pair whose relays carry nothing turns red',
    run: dropsEverything,
  },
  {
    name: 'planted: symmetric NAT in a direct pair',
    group: 'self-test',
    shows: 'that a pair which is expected to be direct and cannot turns red',
    run: async (stage) => {
      const lab = await stage.build({ a: 'sym', b: 'port' })
      return expectFailure(
        meetAcross(lab, await relaysOf(stage, lab), { a: 'sym', b: 'port', expected: 'udp', withinMs }),
        /a path to .* that is direct/,
      )
    },
  },
]
