import type { LabTest } from './lab-test.ts'
import { matrixTests } from './matrix.ts'
import { plantedFaults } from './planted.ts'
import { scenarios } from './scenarios.ts'
import { selfTests } from './self-test.ts'

/** Everything the lab shows, in the order of its tables. */
export const allTests: readonly LabTest[] = [...selfTests, ...plantedFaults, ...matrixTests, ...scenarios]
