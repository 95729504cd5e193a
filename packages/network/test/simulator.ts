import { bytesToHex, type Now } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { formatCircuitAddress, frameTypes, parseCircuitAddress } from '@miaou/protocol'
import { Network, type NetworkOptions } from '../src/connection-manager.ts'
import type { NetworkInput, NetworkOutput } from '../src/interface.ts'
import type { ChannelIndex, PipeId, TransportEvent, TransportKind } from '../src/ports.ts'
import { crypto, SeededRandom, type TestIdentity, testIdentity } from './identities.ts'
import {
  defaultSimulatorOptions,
  type End,
  type Peering,
  type Sent,
  type SimNode,
  type SimPipe,
  type SimRelay,
  type SimulatorOptions,
} from './simulated-world.ts'

export type { SimNode, SimPipe, SimRelay, SimulatorOptions } from './simulated-world.ts'

/** Networks on a virtual clock: delays, losses, dying pipes, restarts, and checkers that watch every step. */
export class Simulator {
  readonly options: SimulatorOptions
  readonly random: SeededRandom
  readonly nodes: SimNode[] = []
  readonly relays: SimRelay[] = []
  /** Hear what the engine of a node puts out. */
  readonly listeners: ((node: SimNode, output: NetworkOutput) => void)[] = []
  readonly pipes: SimPipe[] = []
  readonly violations: string[] = []
  mono = 1_000
  wallOffset = 1_700_000_000_000
  readonly #queue: { readonly at: number; readonly order: number; readonly run: () => void }[] = []
  readonly #ends = new Map<PipeId, { readonly pipe: SimPipe; readonly end: End; readonly other: End }>()
  readonly #peerings = new Map<string, Peering>()
  readonly #nonces = new Set<string>()
  readonly #sent = new Map<string, Sent>()
  readonly #delivered = new Map<string, number>()
  readonly #lastByRoute = new Map<string, number>()
  readonly #crypto: Crypto
  readonly #afterwards: (() => void)[] = []
  #overheard: Uint8Array | undefined
  #order = 0
  #nextPipe = 1
  #sentCount = 0
  #hasFaulted = false
  #strictOrder = true

  constructor(options: Partial<SimulatorOptions> = {}) {
    this.options = { ...defaultSimulatorOptions, ...options }
    this.random = new SeededRandom(this.options.seed)
    this.#crypto = this.#watchedCrypto()
  }

  get now(): Now {
    return { mono: this.mono, wall: Math.floor(this.mono + this.wallOffset) }
  }

  addNode(name: string, options: Partial<NetworkOptions> = {}, identity?: TestIdentity): SimNode {
    const node: SimNode = {
      name,
      identity: identity ?? testIdentity(100 + this.nodes.length + 50 * this.options.seed),
      options,
      network: undefined as never,
      isUp: true,
      isOpen: true,
      cutUntil: 0,
      starts: 0,
      frames: [],
      linked: new Set(),
      downs: [],
      events: [],
      pongs: [],
    }
    this.nodes.push(node)
    this.#startNode(node)
    return node
  }

  #startNode(node: SimNode): void {
    node.starts += 1
    const seed =
      this.options.fault === 'same-ephemeral'
        ? 5
        : (this.options.seed * 100 + this.nodes.indexOf(node)) * 10_000 + node.starts
    const random = new SeededRandom(seed)
    const frozen = { bytes: (size: number) => new SeededRandom(5).bytes(size) }
    node.network = new Network(
      {
        crypto: this.#crypto,
        random: this.options.fault === 'same-ephemeral' ? frozen : random,
        jitter: random,
        identity: node.identity,
        features: ['chat'],
        webrtc: true,
        ...node.options,
      },
      () => this.#takePipe(),
    )
    node.isUp = true
    node.linked.clear()
  }

  #takePipe(): PipeId {
    return this.#nextPipe++ as PipeId
  }

  address(node: SimNode): string {
    return `ws://${node.name}`
  }

  addRelay(): SimRelay {
    const count = this.relays.length
    const relay = { url: `ws://relay-${count}`, relayId: new Uint8Array(16).fill(count), isSilent: false }
    this.relays.push(relay)
    return relay
  }

  /** The way to a node through a relay. */
  circuit(node: SimNode, relay: SimRelay): string {
    return formatCircuitAddress({ relay, reservation: new Uint8Array(16).fill(this.nodes.indexOf(node)) })
  }

  handle(node: SimNode, input: NetworkInput): NetworkOutput[] {
    if (!node.isUp) return []
    const outputs = node.network.handle(this.now, input)
    for (const output of outputs) this.#act(node, output)
    for (const run of this.#afterwards.splice(0)) run()
    return outputs
  }

  send(from: SimNode, to: SimNode, options: { fleeting?: boolean; size?: number } = {}): boolean {
    const number = this.#sentCount++
    const { fleeting = false, size = 12 } = options
    const payload = new Uint8Array(Math.max(12, size))
    new DataView(payload.buffer).setUint32(0, number)
    const id = String(number)
    const sent: Sent = { from, to: to.identity.peerId, number, fleeting, isLarge: size > 49_152, pipes: new Set() }
    this.#sent.set(id, sent)
    const refusedBefore = from.network.counters()['refused-send'] ?? 0
    const unlinkedBefore = from.network.counters()['unlinked-send'] ?? 0
    const peerId = to.identity.peerId
    const frameType = fleeting ? frameTypes.typing : frameTypes.directMessage
    // What must arrive travels beside a companion that is not counted, every second time, in one bundle.
    const companion = { frameType: frameTypes.deliveryReceipt, payload: new Uint8Array(4) }
    const outputs = this.handle(
      from,
      fleeting || number % 2 === 0
        ? { type: 'send', peerId, frameType, payload, fleeting }
        : { type: 'send-all', peerId, frames: [{ frameType, payload }, companion] },
    )
    const counters = from.network.counters()
    if ((counters['unlinked-send'] ?? 0) > unlinkedBefore || (counters['refused-send'] ?? 0) > refusedBefore) {
      this.#sent.delete(id)
      return false
    }
    for (const output of outputs) {
      const pipe = output.type === 'write' ? this.#ends.get(output.pipe)?.pipe : undefined
      if (pipe !== undefined) sent.pipes.add(pipe)
    }
    // Fragments may wait and move: any pipe between the two may carry them.
    if (sent.isLarge || sent.pipes.size === 0) for (const pipe of this.#pipesBetween(from, to)) sent.pipes.add(pipe)
    return true
  }

  #pipesBetween(a: SimNode, b: SimNode): SimPipe[] {
    return this.pipes.filter(({ ends }) => ends.every(({ node }) => node === a || node === b))
  }

  /** Runs until `predicate` holds or the virtual time is over. */
  run(durationMs: number, predicate: () => boolean = () => false): boolean {
    const end = this.mono + durationMs
    for (;;) {
      if (predicate()) return true
      const nextEvent = this.#queue[0]?.at ?? Number.POSITIVE_INFINITY
      const live = this.nodes.filter(({ isUp }) => isUp)
      const nextWake = Math.min(...live.map(({ network }) => network.deadline()), Number.POSITIVE_INFINITY)
      const next = Math.min(nextEvent, nextWake)
      if (next > end) {
        this.mono = end
        return predicate()
      }
      this.mono = Math.max(this.mono, next)
      if (nextEvent <= this.mono) this.#queue.shift()?.run()
      else {
        for (const node of live) {
          if (node.network.deadline() > this.mono) continue
          this.handle(node, { type: 'wake' })
          if (node.network.deadline() <= this.mono) this.violations.push(`${node.name}: a wake leaves its deadline due`)
        }
      }
    }
  }

  /** Runs when every output of the moment is acted upon. */
  afterwards(run: () => void): void {
    this.#afterwards.push(run)
  }

  at(delayMs: number, run: () => void): void {
    const entry = { at: this.mono + delayMs, order: this.#order++, run }
    let index = this.#queue.length
    while (index > 0) {
      const before = this.#queue[index - 1]
      if (before === undefined || before.at <= entry.at) break
      index -= 1
    }
    this.#queue.splice(index, 0, entry)
  }

  #delay(): number {
    const { delayMin, delayMax } = this.options
    return delayMin + this.random.next() * (delayMax - delayMin)
  }

  /** Events reach an engine only while its process lives. */
  #tell(end: End, starts: number, event: TransportEvent): void {
    if (end.node.isUp && end.node.starts === starts) this.handle(end.node, { type: 'transport', event })
  }

  #act(node: SimNode, output: NetworkOutput): void {
    for (const listener of this.listeners) listener(node, output)
    switch (output.type) {
      case 'dial':
        this.#dial(node, output.pipe, output.address)
        return
      case 'write':
        this.#write(output.pipe, output.channel, output.bytes)
        return
      case 'close':
        this.#close(output.pipe)
        return
      case 'offer':
        this.#offer(node, output.pipe)
        return
      case 'accept':
        this.#accept(node, output.pipe, output.offer.sdp)
        return
      case 'answer':
        this.#answer(node, output.pipe, output.answer.sdp)
        return
      case 'link-up':
        if (node.linked.has(output.peerId)) this.violations.push(`${node.name}: link-up twice`)
        node.linked.add(output.peerId)
        return
      case 'link-down':
        node.downs.push(output.reason)
        if (!node.linked.delete(output.peerId)) this.violations.push(`${node.name}: link-down without link-up`)
        return
      case 'frame':
        if (output.frameType === frameTypes.deliveryReceipt || output.frameType === frameTypes.status) return
        this.#deliver(node, output)
        if (this.options.fault === 'double' && !this.#hasFaulted) {
          this.#hasFaulted = true
          this.#deliver(node, output)
        }
        return
      case 'pong':
        node.pongs.push(output)
        return
      case 'event':
        node.events.push(output.event)
        return
      case 'add-candidate':
        return
    }
  }

  #newPipe(
    transport: TransportKind,
    ends: readonly [SimNode, PipeId, SimNode, PipeId],
    relay: SimRelay | undefined = undefined,
  ): SimPipe {
    const end = (node: SimNode, id: PipeId): End => ({ node, id, orderedAt: 0, isOpen: false, isClosed: false })
    const [a, b] = [end(ends[0], ends[1]), end(ends[2], ends[3])]
    const pipe: SimPipe = { transport, ends: [a, b], relay, isBlackHole: false, hasDied: false }
    this.pipes.push(pipe)
    this.#ends.set(a.id, { pipe, end: a, other: b })
    this.#ends.set(b.id, { pipe, end: b, other: a })
    return pipe
  }

  #dial(node: SimNode, id: PipeId, address: string): void {
    const way = parseCircuitAddress(address)
    const relay = way === undefined ? undefined : this.relays.find(({ url }) => url === way.relay.url)
    const target =
      way === undefined
        ? this.nodes.find((other) => this.address(other) === address)
        : this.nodes[way.reservation[0] ?? -1]
    const starts = node.starts
    const fail = (): void => {
      if (node.isUp && node.starts === starts) {
        const error = { type: 'unreachable', detail: 'nobody there' } as const
        this.handle(node, { type: 'transport', event: { type: 'closed', pipe: id, error } })
      }
    }
    if (target === undefined || !target.isUp) {
      this.at(this.#delay(), fail)
      return
    }
    const transport = way === undefined ? 'websocket' : 'circuit'
    const pipe = this.#newPipe(transport, [node, id, target, this.#takePipe()], relay)
    const targetStarts = target.starts
    this.at(this.#delay() * (relay === undefined ? 1 : 2), () => {
      // A dial that goes nowhere: nobody says no.
      if (relay === undefined ? !target.isOpen : relay.isSilent) return
      if (pipe.ends[0].isClosed || this.#cutUntil(pipe) > this.mono) return
      if (!target.isUp || target.starts !== targetStarts) {
        this.at(this.#delay(), fail)
        return
      }
      this.#open(pipe, pipe.ends[1], 'in')
      this.at(this.#delay(), () => this.#open(pipe, pipe.ends[0], 'out'))
    })
  }

  #cutUntil({ ends }: SimPipe): number {
    return Math.max(...ends.map(({ node }) => node.cutUntil))
  }

  #open(pipe: SimPipe, end: End, direction: 'in' | 'out', binding?: { local: Uint8Array; remote: Uint8Array }): void {
    if (end.isClosed || end.isOpen || pipe.hasDied) return
    end.isOpen = true
    this.#tell(end, end.node.starts, {
      type: 'opened',
      pipe: end.id,
      transport: pipe.transport,
      direction,
      channels: pipe.transport === 'webrtc' ? 2 : 1,
      padded: this.options.padded && pipe.transport !== 'webrtc',
      remoteAddress: pipe.relay?.url ?? `peer of ${end.id}`,
      ...(binding === undefined ? {} : { binding }),
    })
  }

  #write(id: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    const route = this.#ends.get(id)
    if (bytes.length > 65_536) this.violations.push('a pipe message above 64 KiB')
    if (route === undefined || route.end.isClosed) return
    const { pipe, other } = route
    if (channel === 1 && this.random.chance(this.options.lossShare)) return
    if (this.options.fault === 'drop' && !this.#hasFaulted && this.#sentCount > 3 && channel === 0) {
      this.#hasFaulted = true
      return
    }
    let at = this.mono + this.#delay() * (pipe.relay === undefined ? 1 : 2)
    if (channel === 0) {
      // What keeps order is sent again until it arrives.
      at = Math.max(at, other.orderedAt, this.#cutUntil(pipe))
      other.orderedAt = at
    } else if (this.#cutUntil(pipe) > this.mono) return
    const starts = other.node.starts
    this.at(at - this.mono, () => {
      if (pipe.isBlackHole || pipe.hasDied || other.isClosed) return
      if (!other.isOpen) this.#retryUntilOpen(pipe, other, starts, channel, bytes)
      else {
        if (this.random.chance(this.options.forgeShare)) {
          this.#tell(other, starts, { type: 'message', pipe: other.id, channel, bytes: this.#forge(bytes) })
        }
        this.#tell(other, starts, { type: 'message', pipe: other.id, channel, bytes })
      }
    })
  }

  #forge(genuine: Uint8Array): Uint8Array {
    const choice = this.random.below(4)
    if (choice === 0) return genuine.slice(0, this.random.below(genuine.length))
    if (choice === 1) return this.random.bytes(this.random.below(300))
    if (choice === 2 && this.#overheard !== undefined) return this.#overheard
    this.#overheard = genuine
    const changed = genuine.slice()
    const offset = this.random.below(changed.length)
    changed[offset] = (changed[offset] ?? 0) ^ (1 + this.random.below(255))
    return changed
  }

  #retryUntilOpen(pipe: SimPipe, end: End, starts: number, channel: ChannelIndex, bytes: Uint8Array): void {
    this.at(0.01, () => {
      if (pipe.isBlackHole || pipe.hasDied || end.isClosed) return
      if (!end.isOpen) this.#retryUntilOpen(pipe, end, starts, channel, bytes)
      else this.#tell(end, starts, { type: 'message', pipe: end.id, channel, bytes })
    })
  }

  /** Orderly: what was sent before still arrives, then the other end hears of it. */
  #close(id: PipeId): void {
    const route = this.#ends.get(id)
    if (route === undefined || route.end.isClosed) return
    const { pipe, end, other } = route
    end.isClosed = true
    const starts = other.node.starts
    const at = Math.max(this.mono + this.#delay(), other.orderedAt, this.#cutUntil(pipe))
    other.orderedAt = at
    this.at(at - this.mono, () => {
      if (other.isClosed || pipe.isBlackHole) return
      other.isClosed = true
      this.#tell(other, starts, { type: 'closed', pipe: other.id })
    })
  }

  #offer(node: SimNode, id: PipeId): void {
    const fingerprint = this.random.bytes(32)
    const key = `${id}`
    this.#peerings.set(key, { offerer: node, offererPipe: id, fingerprint })
    const starts = node.starts
    this.at(this.#delay(), () => {
      if (!node.isUp || node.starts !== starts) return
      const description = { type: 'offer', sdp: `offer ${key} ${bytesToHex(fingerprint)}` } as const
      this.handle(node, { type: 'transport', event: { type: 'description', pipe: id, description } })
      const candidate = { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }
      this.handle(node, { type: 'transport', event: { type: 'candidate', pipe: id, candidate } })
    })
  }

  #accept(node: SimNode, id: PipeId, sdp: string): void {
    const key = sdp.split(' ')[1] ?? ''
    const peering = this.#peerings.get(key)
    if (peering === undefined) return
    peering.answerer = node
    peering.answererPipe = id
    peering.answererFingerprint = this.random.bytes(32)
    const starts = node.starts
    this.at(this.#delay(), () => {
      if (!node.isUp || node.starts !== starts) return
      const description = { type: 'answer', sdp: `answer ${key}` } as const
      this.handle(node, { type: 'transport', event: { type: 'description', pipe: id, description } })
    })
  }

  #answer(node: SimNode, id: PipeId, sdp: string): void {
    const peering = this.#peerings.get(sdp.split(' ')[1] ?? '')
    const { answerer, answererPipe, answererFingerprint } = peering ?? {}
    if (peering === undefined || answerer === undefined || answererPipe === undefined) return
    if (answererFingerprint === undefined || this.options.webrtcFails) return
    const pipe = this.#newPipe('webrtc', [node, id, answerer, answererPipe])
    const ours = { local: peering.fingerprint, remote: answererFingerprint }
    const theirs = { local: answererFingerprint, remote: peering.fingerprint }
    if (this.#cutUntil(pipe) > this.mono) return
    this.at(this.#delay(), () => this.#open(pipe, pipe.ends[0], 'out', ours))
    this.at(this.#delay(), () => this.#open(pipe, pipe.ends[1], 'in', theirs))
  }

  /** A pipe breaks: both ends hear of it, sooner or later. */
  killPipe(pipe: SimPipe): void {
    pipe.hasDied = true
    for (const end of pipe.ends) {
      if (end.isClosed) continue
      const starts = end.node.starts
      this.at(this.#delay(), () => {
        if (end.isClosed) return
        end.isClosed = true
        const error = { type: 'broken', detail: 'killed' } as const
        this.#tell(end, starts, { type: 'closed', pipe: end.id, error })
      })
    }
  }

  blackHole(pipe: SimPipe): void {
    pipe.isBlackHole = true
    pipe.hasDied = true
  }

  /** A relay dies without a word, with every circuit over it. */
  silence(relay: SimRelay): void {
    relay.isSilent = true
    for (const pipe of this.pipes) if (pipe.relay === relay) this.blackHole(pipe)
  }

  /** A node is elsewhere: nothing reaches it on its old pipes. */
  move(node: SimNode): void {
    for (const pipe of this.pipes) if (pipe.ends.some((end) => end.node === node)) this.blackHole(pipe)
    this.handle(node, { type: 'network-changed' })
  }

  /** A cable is pulled for a time: what keeps order arrives afterwards, where somebody still waits for it. */
  cut(node: SimNode, durationMs: number): void {
    node.cutUntil = this.mono + durationMs
  }

  livePipes(): SimPipe[] {
    return this.pipes.filter(
      ({ ends, hasDied }) => !hasDied && ends.every(({ isOpen, isClosed }) => isOpen && !isClosed),
    )
  }

  /** The process ends without a word. */
  crash(node: SimNode): void {
    node.isUp = false
    for (const pipe of this.pipes) {
      if (!pipe.hasDied && pipe.ends.some((end) => end.node === node)) this.killPipe(pipe)
    }
  }

  restart(node: SimNode): void {
    this.#startNode(node)
  }

  /** Disconnects on purpose lose what is under way; the checkers are told. */
  forgive(a: SimNode, b: SimNode): void {
    for (const pipe of this.#pipesBetween(a, b)) pipe.hasDied = true
  }

  /** A frame may overtake another when a pipe dies: only runs without deaths keep one order over all pipes. */
  relaxOrder(): void {
    this.#strictOrder = false
  }

  #deliver(node: SimNode, output: Extract<NetworkOutput, { type: 'frame' }>): void {
    const { payload, peerId: from, frameType } = output
    node.frames.push({ from, frameType, payload })
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0)
    const sent = this.#sent.get(String(number))
    if (sent === undefined || sent.from.identity.peerId !== from || sent.to !== node.identity.peerId) {
      this.violations.push(`${node.name}: a frame that nobody sent`)
      return
    }
    const count = (this.#delivered.get(String(number)) ?? 0) + 1
    this.#delivered.set(String(number), count)
    if (count > 1) this.violations.push(`frame ${number} was delivered ${count} times`)
    if (sent.fleeting || sent.isLarge) return
    const [pipe] = sent.pipes
    const index = pipe === undefined ? -1 : this.pipes.indexOf(pipe)
    const route = `${sent.from.name} to ${node.name}${this.#strictOrder ? '' : ` by ${index}`}`
    const position = this.options.fault === 'swap' && number % 7 === 3 ? number + 5 : number
    if (position < (this.#lastByRoute.get(route) ?? -1)) this.violations.push(`${route}: frame ${number} came late`)
    this.#lastByRoute.set(route, position)
  }

  /** After everything under way has arrived: what was sent on a pipe that lived must be there. */
  checkNothingLost(): void {
    for (const [id, sent] of this.#sent) {
      if (sent.fleeting || this.#delivered.has(id)) continue
      if ([...sent.pipes].some(({ hasDied }) => hasDied)) continue
      this.violations.push(`frame ${id} from ${sent.from.name} is lost`)
    }
  }

  get deliveredCount(): number {
    return this.#delivered.size
  }

  #watchedCrypto(): Crypto {
    return new Proxy(crypto, {
      get: (target, name) => {
        if (name !== 'chacha20Poly1305Seal') {
          const value = Reflect.get(target, name)
          // The backend's private fields are reached through the backend, not through this watcher.
          return typeof value === 'function' ? value.bind(target) : value
        }
        return (key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array, headSize?: number) => {
          const id = `${bytesToHex(key)}/${bytesToHex(nonce)}`
          if (this.#nonces.has(id)) this.violations.push('a (key, nonce) pair was used twice')
          this.#nonces.add(id)
          return target.chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize)
        }
      },
    })
  }
}
