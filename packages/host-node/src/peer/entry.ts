// What the command line needs of this package, without loading the rest: `miaou id` must start fast.
export { checkRecoveryWords, createHome, homeState } from './home.ts'
export { startPeer } from './peer-host.ts'
