import { bytesToHex, concatBytes, type Random } from '@miaou/core'
import { type Crypto, decodeRatchetState, type RatchetChain } from '@miaou/crypto'
import { seededNumbers } from '../../../testkit/src/seeded.ts'
import { seededRandom, unwrap } from './pqxdh.fixture.ts'
import { Crash, createDevice, type Device, type Disk, type Fault, type World } from './ratchet-model.device.ts'

/** What a checker found. The message names the seed that shows it again. */
export class Violation extends Error {}

interface Packet {
  readonly to: Device
  readonly bytes: Uint8Array
}

/** What happened in a run: a run in which nothing happens proves nothing. */
export interface RunStats {
  texts: number
  crashes: number
  refused: number
  sessions: number
  lateKeys: number
}

const stepsMax = 220
// Message keys looked at ahead in each chain when the disk is searched for what must not be there.
const stepsAhead = 3

/** Two devices over a network that loses, delays, doubles, alters and reflects; either may crash at any step. */
export class Simulator implements World {
  readonly crypto: Crypto
  readonly random: Random
  readonly seed: number
  readonly stats: RunStats = { texts: 0, crashes: 0, refused: 0, sessions: 0, lateKeys: 0 }
  wall = 1_700_000_000_000
  readonly #plain: Crypto
  readonly #next: () => number
  readonly #devices: readonly [Device, Device]
  readonly #oldDisks: { device: Device; disk: Disk }[] = []
  #flying: Packet[] = []
  #crashRate = 0.06
  // Checkers' memory.
  readonly #sealed = new Set<string>()
  readonly #keyByTag = new Map<string, string>()
  readonly #hashByKey = new Map<string, string>()
  readonly #genuine = new Map<string, Device>()
  readonly #accepted = new Set<string>()
  readonly #texts = new Map<string, Device>()
  readonly #shown = new Set<string>()
  readonly #spentKeys = new Map<string, Set<string>>()
  #openedKey = ''

  constructor(crypto: Crypto, seed: number, fault?: Fault) {
    this.seed = seed
    this.#plain = crypto
    this.crypto = this.#watch(crypto)
    this.random = seededRandom(crypto, `model ${seed}`)
    this.#next = seededNumbers(seed)
    const oneTimeCount = this.#pick(3)
    this.#devices = [createDevice(this, 'a', fault, oneTimeCount), createDevice(this, 'b', fault, oneTimeCount)]
  }

  run(): RunStats {
    for (let step = 0; step < stepsMax; step++) {
      this.#attempt(() => this.#act())
      this.#checkDisks()
    }
    this.#settle()
    for (const { disk } of this.#devices) this.stats.sessions += disk.sessions.size
    return this.stats
  }

  post(to: string, bytes: Uint8Array): void {
    const hash = bytesToHex(this.#plain.sha256(bytes))
    const device = this.#device(to)
    this.#genuine.set(hash, device)
    const key = this.#keyByTag.get(bytesToHex(bytes.subarray(-16))) ?? ''
    this.#require((this.#hashByKey.get(key) ?? hash) === hash, 'one message key went out with two messages')
    this.#hashByKey.set(key, hash)
    this.#flying.push({ to: device, bytes })
  }

  accept(device: Device, hash: string): void {
    this.#require(this.#genuine.get(hash) === device, 'a packet that nobody sent to this device was accepted')
    this.#require(!this.#accepted.has(hash), 'a packet was accepted twice')
    this.#accepted.add(hash)
    const spent = this.#spentKeys.get(device.name) ?? new Set()
    this.#spentKeys.set(device.name, spent.add(this.#openedKey))
  }

  show(device: Device, id: string): void {
    this.#require(this.#texts.get(id) === device, 'a text that nobody wrote to this device was shown')
    this.#require(!this.#shown.has(id), 'a text was shown twice')
    this.#shown.add(id)
  }

  refuse(device: Device, packet: Uint8Array, reason: string): void {
    const hash = bytesToHex(this.#plain.sha256(packet))
    const isGenuine = this.#genuine.get(hash) === device && !this.#accepted.has(hash)
    this.#require(!isGenuine, `a genuine packet was refused (${reason})`)
    this.stats.refused++
  }

  crashPoint(): void {
    if (this.#next() >= this.#crashRate) return
    this.stats.crashes++
    throw new Crash()
  }

  #act(): void {
    const device = this.#devices[this.#pick(2)] as Device
    const choice = this.#pick(100)
    if (choice < 18) this.#write(device)
    else if (choice < 40) this.#sendSome(device)
    else if (choice < 72) this.#deliver(this.#pick(this.#flying.length), true)
    else if (choice < 78) this.#deliver(this.#pick(this.#flying.length), false)
    else if (choice < 84) this.#flying.splice(this.#pick(this.#flying.length), 1)
    else if (choice < 90) this.#alter()
    else if (choice < 92) this.#reflect()
    else if (choice < 94) this.#oldDisks.push({ device, disk: device.disk })
    else if (choice < 97) this.#runOldCopy()
    else if (choice < 98) this.#restart(device)
    else this.wall += this.#pick(3_600_000)
  }

  #write(device: Device): void {
    const id = `${device.name}${this.stats.texts++}`
    this.#texts.set(id, this.#other(device))
    device.queue(id, 'text')
  }

  #sendSome(device: Device): void {
    const ids = [...device.disk.outbox.keys()]
    const id = ids[this.#pick(ids.length)]
    if (id !== undefined) device.send(id, this.#other(device))
  }

  #restart(device: Device): void {
    const [id] = device.disk.outbox.keys()
    if (id !== undefined) device.restart(id, this.#other(device))
  }

  #deliver(index: number, removes: boolean): void {
    const packet = this.#flying[index]
    if (packet === undefined) return
    if (removes) this.#flying.splice(index, 1)
    packet.to.receive(packet.bytes, this.#other(packet.to))
  }

  #alter(): void {
    const packet = this.#flying[this.#pick(this.#flying.length)]
    if (packet === undefined) return
    const at = this.#pick(packet.bytes.length)
    const bit = 1 << this.#pick(8)
    const bytes = packet.bytes.map((byte, i) => (i === at ? byte ^ bit : byte))
    packet.to.receive(this.#pick(4) === 0 ? bytes.subarray(0, at) : bytes, this.#other(packet.to))
  }

  #reflect(): void {
    const packet = this.#flying[this.#pick(this.#flying.length)]
    if (packet !== undefined) this.#other(packet.to).receive(packet.bytes, packet.to)
  }

  /** A copy of a device wakes with an old disk and sends; nobody hears it, the watch on keys and nonces does. */
  #runOldCopy(): void {
    const old = this.#oldDisks[this.#pick(this.#oldDisks.length)]
    if (old === undefined) return
    const silent: World = {
      crypto: this.crypto,
      random: this.random,
      wall: this.wall,
      post: ignore,
      accept: ignore,
      show: ignore,
      refuse: ignore,
      crashPoint: ignore,
    }
    const copy = old.device.rollBack(old.disk, silent)
    const id = `copy${this.#sealed.size}`
    copy.queue(id, 'text')
    copy.send(id, this.#other(old.device))
  }

  /** The network heals and nobody crashes any more: everything written must arrive, and both sides must agree. */
  #settle(): void {
    this.#crashRate = 0
    for (let round = 0; round < 12; round++) {
      for (const device of this.#devices) {
        for (const id of device.disk.outbox.keys()) device.send(id, this.#other(device))
      }
      this.#deliverAll()
    }
    for (let round = 0; round < 3; round++) {
      for (const device of this.#devices) {
        this.#write(device)
        for (const id of device.disk.outbox.keys()) device.send(id, this.#other(device))
      }
      this.#deliverAll()
    }
    this.#deliverAll()
    this.#checkDisks()
    for (const id of this.#texts.keys()) this.#require(this.#shown.has(id), 'a text accepted for sending was lost')
    const [a, b] = this.#devices
    this.#require(a.sendingSession?.id === b.sendingSession?.id, 'the two sides do not send in one session')
  }

  #deliverAll(): void {
    while (this.#flying.length > 0) {
      this.#deliver(this.#pick(this.#flying.length), true)
      for (const device of this.#devices) {
        for (const [id, { kind }] of device.disk.outbox) if (kind === 'receipt') device.send(id, this.#other(device))
      }
    }
  }

  /** Forward secrecy: nothing on a disk leads to the key of a message that was accepted or sent. */
  #checkDisks(): void {
    for (const device of this.#devices) {
      const spent = this.#spentKeys.get(device.name) ?? new Set()
      for (const { state, skipped } of device.disk.sessions.values()) {
        this.stats.lateKeys = Math.max(this.stats.lateKeys, skipped.length)
        for (const { messageKey } of skipped) {
          this.#require(!spent.has(bytesToHex(messageKey)), 'the key of an accepted message is still kept')
        }
        const { sending, receiving } = unwrap(decodeRatchetState(state))
        for (const key of this.#keysAhead(receiving)) {
          this.#require(!spent.has(key), 'the receiving chain still leads to the key of an accepted message')
        }
        for (const key of this.#keysAhead(sending)) {
          this.#require(!this.#hashByKey.has(key), 'the sending chain still leads to the key of a message sent')
        }
      }
    }
  }

  #keysAhead(chain: RatchetChain | undefined): string[] {
    const keys: string[] = []
    let chainKey = chain?.chainKey
    for (let i = 0; i < stepsAhead && chainKey !== undefined; i++) {
      keys.push(bytesToHex(this.#plain.hmacSha256(chainKey, Uint8Array.of(1))))
      chainKey = this.#plain.hmacSha256(chainKey, Uint8Array.of(2))
    }
    return keys
  }

  /** The crypto suite under watch: every (key, nonce) pair of every device, copies included, is seen here. */
  #watch(crypto: Crypto): Crypto {
    const seal: Crypto['xchacha20Poly1305Seal'] = (key, nonce, ad, plaintext) => {
      const pair = bytesToHex(concatBytes(key, nonce))
      this.#require(!this.#sealed.has(pair), 'a (key, nonce) pair was used twice')
      this.#sealed.add(pair)
      const sealed = crypto.xchacha20Poly1305Seal(key, nonce, ad, plaintext)
      this.#keyByTag.set(bytesToHex(sealed.subarray(-16)), bytesToHex(key))
      return sealed
    }
    const open: Crypto['xchacha20Poly1305Open'] = (key, nonce, ad, ciphertext) => {
      const plaintext = crypto.xchacha20Poly1305Open(key, nonce, ad, ciphertext)
      if (plaintext !== undefined) this.#openedKey = bytesToHex(key)
      return plaintext
    }
    return new Proxy(crypto, {
      get(target, name) {
        if (name === 'xchacha20Poly1305Seal') return seal
        if (name === 'xchacha20Poly1305Open') return open
        const member: unknown = Reflect.get(target, name)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }

  #attempt(operation: () => void): void {
    try {
      operation()
    } catch (error) {
      if (!(error instanceof Crash)) throw error
    }
  }

  #require(condition: boolean, rule: string): void {
    if (!condition) throw new Violation(`${rule}: MIAOU_MODEL_SEED=${this.seed}`)
  }

  #pick(count: number): number {
    return Math.floor(this.#next() * count)
  }

  #device(name: string): Device {
    return this.#devices[name === 'a' ? 0 : 1]
  }

  #other(device: Device): Device {
    return this.#devices[device.name === 'a' ? 1 : 0]
  }
}

function ignore(): void {
  // A silent world has nobody to tell.
}
