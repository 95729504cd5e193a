import { runAndCount } from './run/count.ts'
import { bench, check, demo, fuzz, fuzzPlanted, pack, sim, test } from './run/everything.ts'

/** `npm run verify`: everything, benches as a smoke run. */
await runAndCount([check, test, fuzz, fuzzPlanted, sim, demo, bench, pack])
