import type { LabTest } from './lab-test.ts'
export const scenarios: readonly LabTest[] = []
