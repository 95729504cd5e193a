import { runAndCount } from './run/count.ts'
import { check, demo, fuzz, fuzzPlanted, lab, mutants, pack, setUpLab, sim, soak, test } from './run/everything.ts'

/** The part of `.ci/run` after `npm ci`, whose seconds it is given (`--installed SECONDS`). */
const [flag, seconds] = process.argv.slice(2)
const installed =
  flag === '--installed' ? [{ name: 'install', passed: true, seconds: Number(seconds), ending: '0' }] : []
// The lab's programs come first: a test of WebRTC runs coturn, too.
await runAndCount([check, setUpLab, test, mutants, fuzz, fuzzPlanted, sim, demo, soak, lab, pack], installed)
