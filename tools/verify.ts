import { runAndCount } from './run/count.ts'
import { bench, check, demo, fuzz, fuzzPlanted, lab, mutants, overlayBench, pack, sim, test } from './run/everything.ts'

/** `npm run verify`: everything, benches as a smoke run. */
await runAndCount([check, test, mutants, fuzz, fuzzPlanted, sim, demo, lab, bench, overlayBench, pack])
