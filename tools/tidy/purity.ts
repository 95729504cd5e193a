import { findImports } from './imports.ts'
import { maskCode } from './mask.ts'
import { findMatches, isTypeScript, type SourceFile, type Violation } from './source-file.ts'

const purePackages = [
  'core',
  'crypto',
  'keyring',
  'protocol',
  'overlay',
  'network',
  'directory',
  'messaging',
  'peer',
  'sdk',
  'text',
]

/** What a pure package may not name: each reads a clock, waits, does I/O or draws global randomness. */
const forbidden: readonly RegExp[] = [
  /\bDate\s*\.\s*(?:now|parse|UTC)\b/g,
  /\bnew\s+Date\b/g,
  /(?<!\bnew\s+)(?<![\w$.#])Date\s*\(/g,
  /\bMath\s*\.\s*random\b/g,
  /(?<![\w$.#])(?:set|clear)(?:Timeout|Interval|Immediate)\b/g,
  /(?<![\w$.#])(?:queueMicrotask|requestAnimationFrame)\b/g,
  /(?<![\w$.#])(?:performance|console|process|globalThis|window|navigator|localStorage|indexedDB)\s*[.[]/g,
  /(?<![\w$.#])(?:fetch|WebSocket|XMLHttpRequest|RTCPeerConnection|Worker)\s*\(/g,
  /(?<![\w$.#])crypto\s*\.\s*(?:getRandomValues|randomUUID|subtle)\b/g,
  /(?<![\w$.#])Buffer\b/g,
  /(?<![\w$.#])Atomics\s*\.\s*wait/g,
]

export function isPureSource(path: string): boolean {
  const match = /^packages\/([^/]+)\/src\/(.*)$/.exec(path)
  if (match === null || !isTypeScript(path)) return false
  return purePackages.includes(match[1] ?? '') && !(match[1] === 'sdk' && match[2]?.startsWith('http/') === true)
}

/** Clocks, timers, I/O and global randomness named in the sources of pure packages. */
export function findImpurities(files: readonly SourceFile[]): Violation[] {
  return files
    .filter((file) => isPureSource(file.path))
    .flatMap((file) => {
      const code = maskCode(file.text, { strings: true })
      const names = forbidden.flatMap((pattern) =>
        findMatches(file, code, pattern, 'purity', (match) => `a pure package may not use ${match}: the host owns it`),
      )
      const platforms = findImports(file)
        .filter(({ specifier }) => specifier.startsWith('node:'))
        .map(({ specifier, line }) => ({
          rule: 'purity',
          path: file.path,
          line,
          message: `a pure package may not import ${specifier}`,
        }))
      return [...names, ...platforms]
    })
}
