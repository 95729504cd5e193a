import { runAndCount } from './run/count.ts'
import {
  bench,
  check,
  demo,
  fuzz,
  fuzzPlanted,
  lab,
  mutants,
  overlayBench,
  pack,
  sim,
  soak,
  test,
} from './run/everything.ts'

/** `npm run verify`: everything, benches as a smoke run. */
await runAndCount([check, test, mutants, fuzz, fuzzPlanted, sim, demo, soak, lab, bench, overlayBench, pack])
