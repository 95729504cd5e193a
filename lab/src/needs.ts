import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { python } from './net/wire.ts'
import { isolated } from './outside.ts'

/** A program the lab calls, and the Debian package it comes in. */
interface Tool {
  readonly program: string
  readonly package: string
}

const tools: readonly Tool[] = [
  { program: 'unshare', package: 'util-linux' },
  { program: 'mount', package: 'mount' },
  { program: 'ip', package: 'iproute2' },
  { program: 'nft', package: 'nftables' },
  { program: 'conntrack', package: 'conntrack' },
  { program: 'turnserver', package: 'coturn' },
  { program: 'openssl', package: 'openssl' },
]

/** Programs that live where an ordinary user's path does not lead. */
const path = `${process.env['PATH']}:/usr/sbin:/sbin`

function has(program: string): boolean {
  return path.split(':').some((folder) => existsSync(`${folder}/${program}`))
}

/** Debian packages to install before the lab can run here. */
export function missingPackages(): readonly string[] {
  const missing = tools.filter(({ program }) => !has(program)).map((tool) => tool.package)
  return existsSync(python) ? missing : [...missing, 'python3-minimal']
}

/** What the lab needs of the kernel, tried in namespaces of their own, each with what it is for. */
const trials: readonly (readonly [string, string])[] = [
  ['mount -t tmpfs tmpfs /run && ip netns add x', 'network namespaces'],
  [
    'nft "add table ip x; add chain ip x c { type nat hook postrouting priority 100; }; add rule ip x c masquerade random,fully-random"',
    'NAT by nftables',
  ],
  ['ip tuntap add t mode tap', 'TAP devices (/dev/net/tun)'],
]

/** Why the lab cannot run on this machine, in a few words; undefined when it can. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'Linux'
  const packages = missingPackages()
  if (packages.length > 0) return `the Debian packages ${packages.join(', ')}`
  for (const [script, what] of trials) {
    const [program = '', ...words] = isolated('sh', '-ec', script)
    if (spawnSync(program, words, { env: { ...process.env, PATH: path } }).status !== 0)
      return `the right to make ${what}`
  }
  return undefined
}
