// Two nodes of the overlay behind NATs of their own ping each other through a rendezvous, with real sockets, in network
// namespaces that end with this process: `node lab/src/overlay-punch.ts [NAT of A] [NAT of B]`, each one of full, addr,
// port, sym (default port port). Root, iproute2 and nftables. Exit: 0 as this pair of NATs allows, 1 otherwise, 3 where
// this machine cannot.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import type { NodeCommand, NodeInfo } from './overlay-node.ts'

const kinds = ['full', 'addr', 'port', 'sym'] as const
type Kind = (typeof kinds)[number]
type Answer =
  | { readonly ok: true; readonly value: { readonly ms: number } }
  | { readonly ok: false; readonly error: { readonly type: string; readonly reason?: string } }

/** So long the nodes may take to join, to learn their addresses and to find their rendezvous. */
const settleMs = 60_000
const udpPort = 9_999
const server = '203.0.113.11'

const [a = 'port', b = 'port', stage] = process.argv.slice(2)
if (!isKind(a) || !isKind(b)) throw new Error(`a NAT is one of ${kinds.join(', ')}`)

/** The same again in mount, process and network namespaces of its own: whatever happens, nothing stays behind. */
function outside(natA: Kind, natB: Kind): number {
  const own = [process.execPath, import.meta.filename, natA, natB, 'inside']
  const flags = ['--net', '--mount', '--fork', '--pid', '--kill-child', '--mount-proc']
  const { status, error } = spawnSync('unshare', [...flags, ...own], { stdio: 'inherit' })
  if (error !== undefined) process.stderr.write(`skipped: ${error.message}\n`)
  return error === undefined ? (status ?? 1) : 3
}

async function inside(natA: Kind, natB: Kind): Promise<number> {
  try {
    buildNetwork(natA, natB)
  } catch (error) {
    process.stderr.write(`skipped: no namespaces, veth or nftables here (${String(error).split('\n')[0]})\n`)
    return 3
  }
  const folder = mkdtempSync(join(tmpdir(), 'miaou-punch-'))
  const nodes: LabNode[] = []
  const start = (namespace: string, through?: string): LabNode => {
    const node = new LabNode(namespace, folder, through)
    nodes.push(node)
    return node
  }
  try {
    const rendezvous = start('pub')
    const { publicKey } = await rendezvous.info()
    const through = `${publicKey}@${server}:${udpPort}`
    const [nodeA, nodeB] = [start('a', through), start('b', through)]
    const [infoA, infoB] = [await nodeA.settled(), await nodeB.settled()]
    const there = await nodeA.ask<Answer>({ type: 'punch', client: infoB.clients[0] ?? '' })
    // The other way round as an app would: an address that nobody answers at, and what a device record tells.
    await nodeB.ask({ type: 'know', client: infoA.clients[0] ?? '' })
    const back = await nodeB.ask<Answer>({ type: 'ping', publicKey: infoA.publicKey, host: '203.0.113.77', port: 9 })
    const openers = await Promise.all(
      [nodeA, nodeB].map(async (node) => (await node.info()).counters['opener-sent'] ?? 0),
    )
    const modes = [infoA.mode, infoB.mode]
    const result = {
      type: 'overlay-punch',
      natA,
      natB,
      there,
      back,
      modes,
      openers,
      observed: [infoA.observed, infoB.observed],
    }
    process.stdout.write(`${JSON.stringify(result)}\n`)
    const isPossible = !((natA === 'sym' && natB !== 'full' && natB !== 'addr') || (natB === 'sym' && natA === 'port'))
    const isRight = there.ok === isPossible && back.ok === isPossible && openers.every((count) => count <= 3)
    return isRight && modes.every((mode) => mode === 'client') ? 0 : 1
  } finally {
    for (const node of nodes) node.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A node in a namespace, asked one thing after the other. */
class LabNode {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #reader: Interface

  constructor(namespace: string, folder: string, through: string | undefined) {
    const home = mkdtempSync(join(folder, `${namespace}-`))
    const program = join(import.meta.dirname, 'overlay-node.ts')
    const args = [process.execPath, program, home, `${udpPort}`, ...(through === undefined ? [] : [through])]
    this.#child = spawn('ip', ['netns', 'exec', namespace, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    if (this.#child.stdout === null) throw new Error('a pipe was asked for')
    this.#reader = createInterface({ input: this.#child.stdout })
    this.#lines = this.#reader[Symbol.asyncIterator]()
  }

  async ask<T>(command: NodeCommand): Promise<T> {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`)
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error(`a node ended while it was asked for ${command.type}`)
    return JSON.parse(value) as T
  }

  info(): Promise<NodeInfo> {
    return this.ask({ type: 'info' })
  }

  /** Once it has a rendezvous. */
  async settled(): Promise<NodeInfo> {
    for (let waited = 0; waited < settleMs; waited += 250) {
      const info = await this.info()
      if (info.clients.length > 0) return info
      await pause(250)
    }
    throw new Error(`no rendezvous: ${JSON.stringify(await this.info())}`)
  }

  stop(): void {
    this.#reader.close()
    this.#child.kill()
  }
}

/** One bridge as the world; a public machine, two routers, a machine behind each. */
function buildNetwork(natA: Kind, natB: Kind): void {
  run('mount', '-t', 'tmpfs', 'tmpfs', '/run')
  for (const name of ['world', 'pub', 'ra', 'rb', 'a', 'b']) {
    run('ip', 'netns', 'add', name)
    within(name, 'ip', 'link', 'set', 'lo', 'up')
  }
  bridge('world', '203.0.113.1/24')
  wire('pub', 'eth0', `${server}/24`, 'world')
  for (const [router, machine, kind, index] of [
    ['ra', 'a', natA, 1],
    ['rb', 'b', natB, 2],
  ] as const) {
    wire(router, 'wan0', `203.0.113.10${index}/24`, 'world')
    bridge(router, `10.${index}.0.1/24`)
    within(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    wire(machine, 'eth0', `10.${index}.0.11/24`, router)
    within(machine, 'ip', 'route', 'add', 'default', 'via', `10.${index}.0.1`)
    execFileSync('ip', ['netns', 'exec', router, 'nft', '-f', '-'], { input: rulesOf(kind, `10.${index}.0.11`) })
  }
}

/**
 * Masquerading is a NAT restricted by port that keeps the port, with random ports one that maps each destination apart.
 * For the wider ones the port of the one machine is forwarded: from anywhere, or from addresses that it wrote to.
 */
function rulesOf(kind: Kind, machine: string): string {
  const isForwarded = kind === 'full' || kind === 'addr'
  const allowed = kind === 'addr' ? 'ip saddr @written ' : ''
  return `table ip lab {
    set written { type ipv4_addr; flags dynamic,timeout; timeout 2m; size 4096; }
    chain arriving { type filter hook input priority 0; iifname "wan0" ct state new drop; }
    chain passing {
      type filter hook forward priority 0; policy drop;
      iifname "br0" meta l4proto udp update @written { ip daddr }
      ${isForwarded ? 'ct status dnat accept' : ''}
      ct state established,related accept
      iifname "br0" accept
    }
    chain before {
      type nat hook prerouting priority -100;
      ${isForwarded ? `iifname "wan0" udp dport ${udpPort} ${allowed}dnat to ${machine}` : ''}
    }
    chain after { type nat hook postrouting priority 100; oifname "wan0" masquerade${kind === 'sym' ? ' random,fully-random' : ''}; }
  }`
}

function bridge(namespace: string, address: string): void {
  within(namespace, 'ip', 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0')
  within(namespace, 'ip', 'addr', 'add', address, 'dev', 'br0')
  within(namespace, 'ip', 'link', 'set', 'br0', 'up')
}

/** A cable from a namespace to the bridge of another. */
function wire(namespace: string, device: string, address: string, to: string): void {
  run('ip', 'link', 'add', device, 'netns', namespace, 'type', 'veth', 'peer', 'name', `p-${namespace}`, 'netns', to)
  within(to, 'ip', 'link', 'set', `p-${namespace}`, 'master', 'br0', 'up')
  within(namespace, 'ip', 'addr', 'add', address, 'dev', device)
  within(namespace, 'ip', 'link', 'set', device, 'up')
}

function within(namespace: string, ...command: readonly string[]): void {
  run('ip', 'netns', 'exec', namespace, ...command)
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function isKind(text: string): text is Kind {
  return kinds.some((kind) => kind === text)
}

// Last: classes are there only once their lines have run.
process.exitCode = stage === 'inside' ? await inside(a, b) : outside(a, b)
