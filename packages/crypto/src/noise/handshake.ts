import { assert, concatBytes, err, ok, type Result } from '@miaou/core'
import type { Crypto, KeyPair } from '../suite.ts'
import { type NoisePatternName, type NoiseToken, noisePatterns } from './patterns.ts'
import { SymmetricState } from './symmetric-state.ts'

const keySize = 32
const tagSize = 16
/** Noise revision 34 §3: no Noise message is longer. */
const messageBytesMax = 65_535

/** Why a handshake message was refused. Each is the peer's fault and ends the handshake. */
export type NoiseError =
  | { readonly type: 'out-of-turn' }
  | { readonly type: 'too-long'; readonly size: number }
  | { readonly type: 'truncated'; readonly size: number }
  /** A public key of small order: its Diffie-Hellman result is all zero. */
  | { readonly type: 'weak-key' }
  /** An authentication tag does not match: altered bytes, another prologue, or another key than the one expected. */
  | { readonly type: 'unauthentic' }
  /** An earlier message was refused. */
  | { readonly type: 'dead' }

export interface NoiseOptions {
  readonly crypto: Crypto
  readonly pattern: NoisePatternName
  readonly role: 'initiator' | 'responder'
  /** Bytes both sides must agree on. */
  readonly prologue: Uint8Array
  /** X25519. Absent only for the initiator of NK. */
  readonly staticKey?: KeyPair
  /**
   * 32 bytes that only the two sides know: modifier `psk0` (§9). Whoever lacks them cannot write a first message that is
   * read, so the responder answers nobody else. The array is left as it is.
   */
  readonly psk?: Uint8Array
  /** 32 fresh random bytes, used for this handshake only. The array is left as it is; its copy in here is wiped. */
  readonly ephemeralSecret: Uint8Array
}

export interface NoiseKeys {
  /** 32 bytes: key of what this side sends. */
  readonly send: Uint8Array
  /** 32 bytes: key of what this side receives. */
  readonly receive: Uint8Array
}

/**
 * One side of a `Noise_<pattern>_25519_ChaChaPoly_SHA256` handshake (`<pattern>psk0` with a pre-shared key) (Noise revision 34): a state machine without clock,
 * randomness or I/O. The caller alternates `writeMessage` and `readMessage` until `finished`, then takes the keys with
 * `split`. Writing out of turn is our bug and asserts; whatever a peer sends gives a `NoiseError`, after which the
 * handshake is dead.
 */
export class NoiseHandshake {
  readonly #crypto: Crypto
  readonly #isInitiator: boolean
  readonly #messages: readonly (readonly NoiseToken[])[]
  readonly #symmetric: SymmetricState
  readonly #static: KeyPair | undefined
  readonly #psk: Uint8Array | undefined
  /** Made when it is first needed: who is sent altered or spoofed bytes shall not pay for a key that answers nobody. */
  #ephemeral: KeyPair | undefined
  readonly #ephemeralSecret: Uint8Array
  #index = 0
  #isDead = false
  #isSplit = false
  #remoteEphemeral: Uint8Array | undefined
  #remoteStatic: Uint8Array | undefined
  #isRemoteStaticProven = false
  // Results made before their token: of `ee`, where a key is learnt in a message that agrees on nothing with it, and of
  // the initiator's `es`. A weak key is refused where it is learnt.
  #ee: Uint8Array | undefined
  #es: Uint8Array | undefined

  private constructor(options: NoiseOptions, remoteStatic?: Uint8Array, es?: Uint8Array) {
    const { crypto, pattern, role, prologue, staticKey, psk, ephemeralSecret } = options
    const { remoteStaticKnown, initiatorHasStatic, messages } = noisePatterns[pattern]
    this.#crypto = crypto
    this.#isInitiator = role === 'initiator'
    this.#messages = messages
    assert(
      (remoteStatic !== undefined) === (remoteStaticKnown && this.#isInitiator),
      'the initiator of IK, XK and NK knows the remote static key, nobody else does',
    )
    assert(
      (staticKey !== undefined) === (initiatorHasStatic || !this.#isInitiator),
      'a side has a static key exactly when its pattern says so',
    )
    assert(psk === undefined || psk.length === keySize, 'a pre-shared key has 32 bytes')
    this.#static = staticKey
    this.#psk = psk
    this.#ephemeralSecret = ephemeralSecret.slice()
    // From the very array with which `startTo` has agreed: a backend may keep what it made of it.
    if (this.#isInitiator) this.#ephemeral = crypto.x25519KeyPair(ephemeralSecret)
    this.#remoteStatic = remoteStatic
    this.#es = es
    this.#isRemoteStaticProven = remoteStatic !== undefined
    this.#symmetric = new SymmetricState(
      crypto,
      `Noise_${pattern}${psk === undefined ? '' : 'psk0'}_25519_ChaChaPoly_SHA256`,
    )
    this.#symmetric.mixHash(prologue)
    if (remoteStaticKnown) this.#symmetric.mixHash(remoteStatic ?? (staticKey as KeyPair).publicKey)
  }

  /** Begins a handshake in which this side knows no key of the other: XX, and the responder of every pattern. */
  static start(options: NoiseOptions): NoiseHandshake {
    return new NoiseHandshake(options)
  }

  /**
   * Begins the initiator's side of IK, XK or NK towards `remoteStatic`, the responder's X25519 key (32 bytes).
   * `weak-key`: that key is of small order; whoever published it is hostile.
   */
  static startTo(
    options: NoiseOptions,
    remoteStatic: Uint8Array,
  ): Result<NoiseHandshake, { readonly type: 'weak-key' }> {
    const es = options.crypto.x25519(options.ephemeralSecret, remoteStatic)
    return es === undefined ? err({ type: 'weak-key' }) : ok(new NoiseHandshake(options, remoteStatic.slice(), es))
  }

  /** True once every message of the pattern has been written or read. */
  get finished(): boolean {
    return !this.#isDead && this.#index === this.#messages.length
  }

  /** True when the next step is this side's `writeMessage`. */
  get isOurTurn(): boolean {
    return !this.#isDead && !this.finished && this.#isInitiator === (this.#index % 2 === 0)
  }

  /**
   * The peer's static key: the one it was started with, or the one shown in a message whose tags matched. Possession is
   * proved once `finished`. Undefined before, and for the initiator of NK as the responder sees it.
   */
  get remoteStatic(): Uint8Array | undefined {
    return this.#isRemoteStaticProven ? this.#remoteStatic?.slice() : undefined
  }

  /** 32 bytes that both sides share and that no other handshake has: for channel binding. Only once `finished`. */
  get handshakeHash(): Uint8Array {
    assert(this.finished, 'the handshake hash exists once the handshake is finished')
    return this.#symmetric.hash
  }

  /** The next handshake message with `payload` inside; whether it is encrypted depends on the pattern (§7.7). */
  writeMessage(payload: Uint8Array): Uint8Array {
    assert(this.isOurTurn, 'a handshake message is written in turn')
    const parts: Uint8Array[] = []
    this.#mixPsk()
    for (const token of this.#messages[this.#index] ?? []) {
      if (token === 'e') {
        const { publicKey } = this.#ownEphemeral()
        parts.push(publicKey)
        this.#mixEphemeral(publicKey)
      } else if (token === 's') {
        parts.push(this.#symmetric.encryptAndHash((this.#static as KeyPair).publicKey))
      } else {
        const shared = this.#agree(token)
        assert(shared !== undefined, 'weak keys are refused when they are read')
        this.#symmetric.mixKey(shared)
      }
    }
    parts.push(this.#symmetric.encryptAndHash(payload))
    const message = concatBytes(...parts)
    assert(message.length <= messageBytesMax, 'a Noise message has at most 65,535 bytes')
    this.#advance()
    return message
  }

  /** The payload of the peer's next handshake message, an array of its own. */
  readMessage(message: Uint8Array): Result<Uint8Array, NoiseError> {
    if (this.#isDead) return err({ type: 'dead' })
    if (this.finished) return err({ type: 'out-of-turn' })
    const result = this.isOurTurn ? err({ type: 'out-of-turn' }) : this.#read(message)
    if (result.ok) {
      if (this.#remoteStatic !== undefined) this.#isRemoteStaticProven = true
      this.#advance()
    } else {
      this.#isDead = true
      this.#wipe()
    }
    return result
  }

  #read(message: Uint8Array): Result<Uint8Array, NoiseError> {
    if (message.length > messageBytesMax) return err({ type: 'too-long', size: message.length })
    let rest = message
    this.#mixPsk()
    const tokens = this.#messages[this.#index] ?? []
    for (const token of tokens) {
      if (token === 'e' || token === 's') {
        const size = keySize + (token === 's' && this.#symmetric.hasKey ? tagSize : 0)
        if (rest.length < size) return err({ type: 'truncated', size: message.length })
        const part = rest.slice(0, size)
        const error = token === 'e' ? this.#readEphemeral(part, tokens) : this.#readStatic(part)
        if (error !== undefined) return err(error)
        rest = rest.subarray(size)
      } else {
        const shared = this.#agree(token)
        if (shared === undefined) return err({ type: 'weak-key' })
        this.#symmetric.mixKey(shared)
      }
    }
    if (this.#symmetric.hasKey && rest.length < tagSize) return err({ type: 'truncated', size: message.length })
    const payload = this.#symmetric.decryptAndHash(rest)
    return payload === undefined ? err({ type: 'unauthentic' }) : ok(payload)
  }

  #readEphemeral(key: Uint8Array, tokens: readonly NoiseToken[]): NoiseError | undefined {
    // Where the same message agrees with the key, that agreement tells whether it is weak: for all of ours, since a key of
    // small order gives zero with every one. Without it, as in the first message of XX, the next one must not find out.
    const isTested = tokens.includes('ee') || (!this.#isInitiator && tokens.includes('es'))
    if (!isTested) {
      this.#ee = this.#crypto.x25519(this.#ownEphemeral().secretKey, key)
      if (this.#ee === undefined) return { type: 'weak-key' }
    }
    this.#remoteEphemeral = key
    this.#mixEphemeral(key)
    return undefined
  }

  #mixPsk(): void {
    if (this.#psk !== undefined && this.#index === 0) this.#symmetric.mixKeyAndHash(this.#psk.slice())
  }

  /** §9.2: with a pre-shared key ephemerals go into the keys too, or two handshakes would begin with one key. */
  #mixEphemeral(publicKey: Uint8Array): void {
    this.#symmetric.mixHash(publicKey)
    if (this.#psk !== undefined) this.#symmetric.mixKey(publicKey.slice())
  }

  #ownEphemeral(): KeyPair {
    this.#ephemeral ??= this.#crypto.x25519KeyPair(this.#ephemeralSecret)
    return this.#ephemeral
  }

  #readStatic(sealedKey: Uint8Array): NoiseError | undefined {
    const key = this.#symmetric.decryptAndHash(sealedKey)
    if (key === undefined) return { type: 'unauthentic' }
    this.#remoteStatic = key
    return undefined
  }

  /** Diffie-Hellman of one token (§7.1): the first letter names the initiator's key, the second the responder's. */
  #agree(token: Exclude<NoiseToken, 'e' | 's'>): Uint8Array | undefined {
    if (token === 'ee' && this.#ee !== undefined) return this.#ee.slice()
    if (token === 'es' && this.#es !== undefined) return this.#es.slice()
    const [initiators, responders] = [token[0], token[1]]
    const ours = (this.#isInitiator ? initiators : responders) === 'e' ? this.#ownEphemeral() : this.#static
    const theirs = (this.#isInitiator ? responders : initiators) === 'e' ? this.#remoteEphemeral : this.#remoteStatic
    assert(ours !== undefined && theirs !== undefined, 'a pattern agrees only on keys that were exchanged')
    return this.#crypto.x25519(ours.secretKey, theirs)
  }

  /** The keys of both directions, once. */
  split(): NoiseKeys {
    assert(this.finished && !this.#isSplit, 'a finished handshake is split once')
    this.#isSplit = true
    const [initiators, responders] = this.#symmetric.split()
    return this.#isInitiator ? { send: initiators, receive: responders } : { send: responders, receive: initiators }
  }

  #advance(): void {
    this.#index += 1
    if (this.finished) this.#wipeEphemeral()
  }

  #wipe(): void {
    this.#symmetric.wipe()
    this.#wipeEphemeral()
  }

  #wipeEphemeral(): void {
    this.#crypto.wipe(this.#ephemeralSecret)
    if (this.#ephemeral !== undefined) this.#crypto.wipe(this.#ephemeral.secretKey)
    if (this.#ee !== undefined) this.#crypto.wipe(this.#ee)
    if (this.#es !== undefined) this.#crypto.wipe(this.#es)
  }
}
