import { runTests } from '../../../lab/src/schedule.ts'
import { allTests } from '../../../lab/src/tests/all.ts'
import type { LabResult } from '../../../lab/src/tests/lab-test.ts'

/** A figure that a scenario of the lab leaves, and what it is called here. */
export interface RecoveryFigure {
  /** Name of the scenario. */
  readonly scenario: string
  /** Of its figures, ms. */
  readonly figure: string
  readonly label: string
  readonly goalMs?: number
  /** Long and without a goal: once a run. */
  readonly isOnce: boolean
}

/** After what two people find to each other again. Address changes count from the event, a relay's death from the first
 * frame that goes unanswered; idle, from the event, where nobody has anything to say that would be missed. */
export const recoveryFigures: readonly RecoveryFigure[] = [
  figure('router reboots', 'talkingAgainMs', 'talking again after a new public address', 3_000),
  figure('router reboots', 'directAgainMs', '… directly again'),
  figure('laptop moves', 'talkingAgainMs', 'talking again after a move to another LAN', 3_000),
  figure('laptop moves', 'directAgainMs', '… directly again'),
  figure('relay dies silently', 'talkingAgainMs', 'talking again after a relay’s silent death', 2_000),
  figure('relay killed', 'talkingAgainMs', 'talking again after a relay was killed'),
  { ...figure('laptop moves, idle', 'idleLinkedMs', 'idle: linked again after a move'), isOnce: true },
  { ...figure('relay dies silently, idle', 'idleNoticedMs', 'idle: linked again after a silent death'), isOnce: true },
]

function figure(scenario: string, name: string, label: string, goalMs?: number): RecoveryFigure {
  return { scenario, figure: name, label, isOnce: false, ...(goalMs === undefined ? {} : { goalMs }) }
}

export interface RecoveryOptions {
  readonly repeats: number
  readonly isShort: boolean
  readonly onResult: (result: LabResult) => void
}

/** Scenarios of the lab, one after the other in labs of their own, so that none takes the time of another. */
export async function runRecovery({ repeats, isShort, onResult }: RecoveryOptions): Promise<void> {
  for (let round = 0; round < repeats; round++) {
    const wanted = recoveryFigures
      .filter(({ isOnce, scenario }) => (isShort ? scenario === 'relay killed' : round === 0 || !isOnce))
      .map(({ scenario }) => scenario)
    const tests = allTests.filter(({ group, name }) => group === 'scenario' && wanted.includes(name))
    await runTests(tests, {
      labs: 1,
      isLong: false,
      onResult: (result) => {
        const { name, passed, seconds, figures, error } = result
        const said = passed ? JSON.stringify(figures) : `FAILED: ${error}`
        process.stderr.write(
          `${repeats > 1 ? `${round + 1}/${repeats} ` : ''}${name} … ${seconds.toFixed(1)} s ${said}\n`,
        )
        onResult(result)
      },
    })
  }
}
