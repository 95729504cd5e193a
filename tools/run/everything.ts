import type { Part } from './part.ts'

/** Everything the project can show of itself, cheap to dear. `test` is counted test by test, the others as one each. */
export const check: Part = { name: 'check', command: ['node', 'tools/check.ts'] }
export const test: Part = { name: 'test', command: ['node', 'tools/test.ts'] }
/** The tests themselves: each fault of row E28 must be noticed by one of them. */
export const mutants: Part = { name: 'mutants', command: ['node', 'tools/mutants.ts'] }
export const fuzz: Part = { name: 'fuzz', command: ['node', 'testkit/src/fuzz/main.ts', '--cases', '50000'] }
/** The fuzzer itself: it must find faults planted in decoders. */
export const fuzzPlanted: Part = {
  name: 'fuzz, planted faults',
  command: ['node', 'testkit/src/fuzz/main.ts', '--planted', '--cases', '50000'],
}
/** Every scenario of the simulator in a small network: fails when a goal or a checker does. */
export const sim: Part = { name: 'sim', command: ['node', 'sim/src/main.ts', 'all', '--short'] }
/** Debian packages of the NAT lab: nothing to do where they are. */
export const setUpLab: Part = { name: 'setup lab', command: ['node', 'tools/setup-lab.ts'] }
/** Real daemons behind every kind of router, in private network namespaces. */
export const lab: Part = { name: 'lab', command: ['node', 'lab/src/main.ts'] }
export const demo: Part = { name: 'demo', command: ['node', 'e2e/src/demo.ts'] }
/** Daemons killed and frozen while they write to each other, over links and mailboxes, and a ledger at the end. */
export const soak: Part = {
  name: 'soak',
  command: ['node', 'e2e/src/soak/main.ts', '--peers', '4', '--mailboxes', '2', '--minutes', '0.5', '--kill'],
}
export const bench: Part = { name: 'bench', command: ['node', 'bench/src/main.ts', '--short'] }
/** Our side alone: the rivals are installed by whoever asks for them. */
export const overlayBench: Part = {
  name: 'bench, overlay',
  command: ['node', 'bench/src/overlay/main.ts', '--short', '--without-rivals'],
}
export const pack: Part = { name: 'pack', command: ['node', 'tools/pack.ts', '--install-test'] }
