import { runAndCount } from './run/count.ts'
import { bench, check, demo, fuzz, fuzzPlanted, pack, test } from './run/everything.ts'

/** `npm run verify`: everything, benches as a smoke run. */
await runAndCount([check, test, fuzz, fuzzPlanted, demo, bench, pack])
