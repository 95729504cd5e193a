import { readFileSync } from 'node:fs'
import { tellCrash } from './crash.ts'
import { processIo } from './io.ts'
import { run } from './run.ts'

/** The program: `bin/miaou.js` calls it once Node is known to be new enough. */
export async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  // Output into a pipe that nobody reads any more (`miaou history | head`) is no error of ours.
  process.stdout.on('error', (error) => {
    if ('code' in error && error.code === 'EPIPE') process.exit(0)
  })
  // A terminal that is gone: nobody is left to tell, and the end of the peer goes on in good order.
  process.stderr.on('error', () => undefined)
  const io = processIo()
  // Rejections that nobody handles come here as well.
  process.on('uncaughtException', (error) => process.exit(tellCrash(io, String(version), error)))
  process.exitCode = await run(io, String(version))
}
