export type { CommandResult } from './daemon.ts'
export { Daemon, runMiaou, temporaryFolder } from './daemon.ts'
export { befriend, delivered, Household, history, linked, receivedTexts } from './pair.ts'
export { until } from './until.ts'
