import { maskCode } from './mask.ts'
import { findMatches, isTypeScript, type SourceFile, type Violation } from './source-file.ts'

const linesMax = 600

/** Test files that may skip, each for a reason that the test prints; CI skips none of them but the first kind. */
export const skipsAllowed: ReadonlyMap<string, string> = new Map([
  ['packages/crypto/test/wycheproof.test.ts', 'the published vectors lie beside the clone and may be absent'],
  ['packages/crypto/test/noise-vectors.test.ts', 'the published vectors lie beside the clone and may be absent'],
  ['packages/host-node/test/node-crypto.test.ts', 'the published vectors lie beside the clone and may be absent'],
  ['packages/host-node/test/store-disk-full.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['packages/host-node/test/home-disk-full.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['packages/host-node/test/mailbox-disk-full.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['packages/host-node/test/overlay-disk-full.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['packages/host-node/test/overlay-ipv6.test.ts', 'no ::1 on this machine; in CI it fails instead'],
  ['e2e/test/damaged-home.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['e2e/test/e2e_real_webrtc_datachannels.test.ts', 'no coturn is installed; in CI it fails instead'],
  ['e2e/test/full-disk.test.ts', 'no file system can be mounted; in CI it fails instead'],
  ['e2e/test/interactive.test.ts', 'no script(1) for a pseudo terminal; in CI it fails instead'],
])

const code = /\.(?:ts|js|mjs|json|sh|yml|yaml|html|css)$|^\.ci\//

export function findLongFiles(files: readonly SourceFile[]): Violation[] {
  return files
    .filter(({ path }) => isTypeScript(path) && /\/src\//.test(path))
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > linesMax)
    .map(({ path, lines }) => ({ rule: 'length', path, message: `${lines} lines; past ${linesMax} a file is two` }))
}

/** Words that say a thing is unfinished. */
export function findUnfinishedWords(files: readonly SourceFile[]): Violation[] {
  return files
    .filter(({ path }) => isTypeScript(path) && /\/(?:src|test)\//.test(path) && !path.startsWith('tools/'))
    .flatMap((file) =>
      findMatches(
        file,
        file.text,
        /\b(?:TODO|FIXME|XXX|HACK)\b/g,
        'unfinished',
        (word) => `${word}: finish it or open an issue`,
      ),
    )
}

/** Folders that exist on one machine only. `/home/you` and the like are examples. */
const machinePath =
  /(?<![\w.~:$}/-])\/(?:(?:work|root|private\/var|tmp)\/[\w.-]+|home\/(?!(?:you|user|ada|bob)\b)[\w.-]+\/|Users\/(?!(?:you|user|ada|bob)\b)[\w.-]+)/g

export function findMachinePaths(files: readonly SourceFile[]): Violation[] {
  return (
    files
      .filter(({ path }) => path !== '.gitignore' && !path.startsWith('tools/'))
      .flatMap((file) =>
        findMatches(file, file.text, machinePath, 'machine path', (path) => `${path} exists on one machine only`),
      )
      // A document may show a command with a folder of its reader's own.
      .filter(({ path, message }) => !(path.endsWith('.md') && message.startsWith('/tmp/')))
  )
}

/** Hosts of package registries: which one a machine uses is its own configuration. */
export function findRegistryHosts(files: readonly SourceFile[]): Violation[] {
  return files
    .filter(({ path }) => (code.test(path) || path === '.npmrc') && !path.startsWith('tools/'))
    .flatMap((file) => [
      ...findMatches(
        file,
        file.text,
        /\bregistry\.[\w-]+\.[a-z]+|"resolved":\s*"https?:[^"]*"|^\s*registry\s*=.*$/gm,
        'registry',
        (found) => `${found}: a registry is the machine's choice`,
      ),
    ])
}

/** Tests switched off or singled out, outside the allow-list. */
export function findSwitchedOffTests(files: readonly SourceFile[]): Violation[] {
  return files
    .filter(({ path }) => path.endsWith('.test.ts') && !skipsAllowed.has(path))
    .flatMap((file) => {
      const masked = maskCode(file.text, { strings: true })
      const pattern =
        /\b(?:test|it|describe|suite|context|ctx)\s*\.\s*(?:\w+\s*\.\s*)?(?:skip|only|todo|fails|skipIf|runIf)\b|\bx(?:it|test|describe)\s*\(/g
      return findMatches(file, masked, pattern, 'switched off', (found) => `${found}: every test runs`)
    })
}
