import type { SourceFile, Violation } from './source-file.ts'

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly private?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** An entry of `packages` in package-lock.json, version 3. */
interface LockEntry extends Manifest {
  readonly license?: string
  readonly link?: boolean
  readonly resolved?: string
}

export interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>
}

const exact = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/

const licencesAllowed = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
])

/** Packages let in under another licence, with the licence that was looked at and why. */
const exceptions: ReadonlyMap<string, string> = new Map([
  // werift asks for it to record MP4, which Miaou never does. A file-level copyleft, installed unmodified from npm and not
  // part of our tarballs (docs/decisions/0012-dependencies.md).
  ['mediabunny', 'MPL-2.0'],
])

function manifestsOf(files: readonly SourceFile[]): { path: string; manifest: Manifest }[] {
  return files
    .filter(({ path }) => /^(?:(?:packages|apps)\/[^/]+\/|[^/]+\/)?package\.json$/.test(path))
    .map(({ path, text }) => ({ path, manifest: JSON.parse(text) as Manifest }))
}

/** Dependencies that are not one exact version, and workspaces asked for in another version than they have. */
export function findLooseVersions(files: readonly SourceFile[]): Violation[] {
  const manifests = manifestsOf(files)
  const own = new Map(manifests.map(({ manifest }) => [manifest.name, manifest.version]))
  return manifests.flatMap(({ path, manifest }) =>
    Object.entries({ ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies })
      .filter(([name, version]) => !exact.test(version) || (own.has(name) && own.get(name) !== version))
      .map(([name, version]) => ({ rule: 'pinned', path, message: `${name}@${version}: pin the exact version` })),
  )
}

/** True when one side of every OR is allowed (SPDX expressions as npm packages use them; AND needs all its parts). */
export function isLicenceAllowed(expression: string): boolean {
  const bare = expression.replace(/[()]/g, ' ')
  return bare.split(/\bOR\b/).some((side) => side.split(/\bAND\b/).every((part) => licencesAllowed.has(part.trim())))
}

/** Every package that a user of ours installs: production and optional dependencies of the public packages, followed. */
export function shippedPackages(lock: Lock): Map<string, LockEntry> {
  const shipped = new Map<string, LockEntry>()
  const queue = Object.entries(lock.packages)
    .filter(([path, entry]) => /^(?:packages|apps)\/[^/]+$/.test(path) && entry.private !== true)
    .map(([path]) => path)
  const seen = new Set(queue)
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const entry = lock.packages[path]
    if (entry === undefined) continue
    if (path.includes('node_modules/')) shipped.set(path, entry)
    for (const name of Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })) {
      const found = resolve(lock, path, name)
      if (found === undefined || seen.has(found)) continue
      seen.add(found)
      queue.push(found)
    }
  }
  return shipped
}

/** Where Node would find `name` from the folder `from`: the nearest node_modules; links lead to their workspace. */
function resolve(lock: Lock, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.replace(/(?:^|\/)[^/]*$/, '')) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    const entry = lock.packages[path]
    if (entry !== undefined) return entry.link === true ? entry.resolved : path
    if (folder === '') return undefined
  }
}

/** Shipped packages whose licence is not in the list, or is not stated. */
export function findLicenceViolations(lock: Lock): Violation[] {
  return [...shippedPackages(lock)]
    .map(([path, { license, version }]) => ({ name: path.replace(/^.*node_modules\//, ''), license, version }))
    .filter(
      ({ name, license }) => license === undefined || !(isLicenceAllowed(license) || exceptions.get(name) === license),
    )
    .map(({ name, license, version }) => ({
      rule: 'licence',
      path: 'package-lock.json',
      message: `${name}@${version}: ${license ?? 'no licence stated'}`,
    }))
}

/** Row E01: engines of peer-to-peer networks made by others. They are rivals in bench/peers, which has a lock of its own. */
const peerToPeer =
  /^(?:@libp2p\/|@chainsafe\/libp2p|@helia\/|@hyperswarm\/|(?:libp2p|devp2p|rlpx|hyperdht|hyperswarm|dht-rpc|bittorrent-dht|webtorrent|k-rpc|k-rpc-socket|k-bucket|kademlia-routing-table|kad|kademlia|helia|ipfs|orbit-db|gun|peerjs|simple-peer|trystero)$|.*\b(?:libp2p|devp2p|gossipsub|kad-dht)\b)/

/** Libraries for peer-to-peer networks in the lock file of the workspace, development tools included. */
export function findPeerToPeerLibraries(lock: Lock): Violation[] {
  return Object.keys(lock.packages)
    .filter((path) => path.includes('node_modules/'))
    .map((path) => path.replace(/^.*node_modules\//, ''))
    .filter((name) => peerToPeer.test(name))
    .map((name) => ({
      rule: 'by hand',
      path: 'package-lock.json',
      message: `${name}: the engine is our own (row E01)`,
    }))
}
