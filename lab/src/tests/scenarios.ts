import type { LabTest } from './lab-test.ts'
import { families } from './scenarios/families.ts'
import { impairments } from './scenarios/impairments.ts'
import { moves } from './scenarios/moves.ts'
import { natTypes } from './scenarios/nat-types.ts'
import { overlayPunches } from './scenarios/overlay.ts'
import { privacy } from './scenarios/privacy.ts'
import { relayFailures } from './scenarios/relay-failures.ts'
import { turnScenarios } from './scenarios/turn.ts'

/** What goes wrong between people, each told as a test. */
export const scenarios: readonly LabTest[] = [
  ...relayFailures,
  ...moves,
  ...impairments,
  ...families,
  ...turnScenarios,
  ...privacy,
  ...natTypes,
  ...overlayPunches,
]
