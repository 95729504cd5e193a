import type { Log, LogLevel } from '@miaou/core'
import type { Context } from './context.ts'
import { sanitiseLine } from './terminal/sanitise.ts'

const loud: ReadonlySet<LogLevel> = new Set(['warn', 'error'])

/** Diagnostics on stderr: warnings and errors; with MIAOU_DEBUG everything, also beside `--json`. */
export function createLog({ io, out }: Context): Log {
  const isDebug = Boolean(io.env['MIAOU_DEBUG'])
  return {
    write: (level, event, facts = {}) => {
      if (!isDebug && (out.isJson || !loud.has(level))) return
      const words = Object.entries(facts).map(([name, value]) => `${name}=${value}`)
      io.stderr.write(`${sanitiseLine([level, event, ...words].join(' '))}\n`)
    },
  }
}
