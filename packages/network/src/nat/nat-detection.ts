import { bytesToHex, type Now, type Random } from '@miaou/core'
import {
  decodeStunMessage,
  type Endpoint,
  encodeStunMessage,
  endpointScope,
  formatEndpoint,
  type StunMessage,
  stunAttributes,
  stunChangeRequest,
  stunEndpoint,
  stunErrorCode,
  stunMappedAddress,
  stunMethods,
  stunTransactionSize,
} from '@miaou/protocol'
import type { ConnectivityReport, NatType, ServerReport } from './interface.ts'
import { judgeFiltering, judgeMapping, type ServerFindings } from './nat-judgement.ts'
import { defaultNatLimits, type NatLimits } from './nat-limits.ts'
import { natTypeOf } from './nat-type.ts'

/** Two sockets of one family: filtering is tested from the second, which never sends to a server's other address. */
export type NatSocket = 0 | 1

export type NatInput =
  | { readonly type: 'datagram'; readonly socket: NatSocket; readonly from: Endpoint; readonly bytes: Uint8Array }
  /** The first one starts. */
  | { readonly type: 'wake' }

export type NatOutput =
  | { readonly type: 'datagram'; readonly socket: NatSocket; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** Told once; `findings` holds the result. */
  | { readonly type: 'finished' }

/** One STUN server, of the family of the sockets. */
export interface StunServer {
  readonly url: string
  readonly endpoint: Endpoint
}

export interface NatDetectionOptions {
  readonly random: Random
  readonly servers: readonly StunServer[]
  /** Own addresses with the port of the first socket. */
  readonly locals: readonly Endpoint[]
  readonly limits?: Partial<NatLimits>
}

/** What is known of the NAT so far; complete once `finished` was told. */
export interface NatFindings {
  readonly natType: NatType
  readonly mapping: ConnectivityReport['mapping']
  readonly filtering: ConnectivityReport['filtering']
  /** Own address as most servers see it. */
  readonly mapped?: Endpoint
  /** In the order of the options; at most `serversMax`. */
  readonly servers: readonly ServerReport[]
}

type Test = 'first' | 'other-host' | 'other-host-and-port' | 'change-both' | 'change-port'

interface Transaction {
  readonly server: Server
  readonly test: Test
  readonly socket: NatSocket
  readonly to: Endpoint
  /** Where a success must come from. */
  readonly from: Endpoint
  readonly bytes: Uint8Array
  sentCount: number
  sentAt: number
  dueAt: number
}

interface Server extends ServerFindings {
  readonly url: string
  isAnswering: boolean
  ms?: number
  detail?: string
}

/**
 * Finds out how the NAT in front of two sockets maps and filters (RFC 5780 §4.3, §4.4), rows D12, D13, D15; spec/nat.md.
 * An answer counts only with its transaction, on its socket, from the address that was asked to answer.
 */
export class NatDetection {
  readonly #random: Random
  readonly #limits: NatLimits
  readonly #locals: readonly Endpoint[]
  readonly #servers: readonly Server[]
  readonly #pending = new Map<string, Transaction>()
  /** Hosts that the second socket has sent to, or hears from: no other test of filtering may touch them. */
  readonly #filteringHosts = new Set<string>()
  #filteringCount = 0
  #state: 'new' | 'running' | 'finished' = 'new'
  #dropped = 0

  constructor({ random, servers, locals, limits }: NatDetectionOptions) {
    this.#random = random
    this.#limits = { ...defaultNatLimits, ...limits }
    this.#locals = locals
    this.#servers = servers
      .slice(0, this.#limits.serversMax)
      .map(({ url, endpoint }) => ({ url, endpoint, isAnswering: false }))
  }

  /** Datagrams that were no answer to anything asked. */
  get dropped(): number {
    return this.#dropped
  }

  handle({ mono }: Now, input: NatInput): NatOutput[] {
    const outputs: NatOutput[] = []
    if (this.#state === 'new') {
      this.#state = 'running'
      for (const server of this.#servers) this.#ask(mono, server, 'first', outputs)
    }
    if (input.type === 'datagram') this.#hear(mono, input.socket, input.from, input.bytes, outputs)
    this.#repeat(mono, outputs)
    if (this.#state === 'running' && this.#pending.size === 0) {
      this.#state = 'finished'
      outputs.push({ type: 'finished' })
    }
    return outputs
  }

  /** Monotonic ms of the next wake: at once before the first, never after the end. */
  deadline(): number {
    if (this.#state === 'new') return Number.NEGATIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#pending.values()) next = Math.min(next, dueAt)
    return next
  }

  findings(): NatFindings {
    const { mapping, mapped, odd } = judgeMapping(this.#servers, this.#locals)
    const filtering = judgeFiltering(this.#servers, odd, mapping)
    const isBlocked = this.#servers.length > 0 && this.#servers.every(({ isAnswering }) => !isAnswering)
    const natType = isBlocked ? 'blocked' : natTypeOf(mapping, filtering)
    return {
      natType,
      mapping,
      filtering,
      ...(mapped === undefined ? {} : { mapped }),
      servers: this.#servers.map((server) => reportOf(server, odd.has(server))),
    }
  }

  #ask(mono: number, server: Server, test: Test, outputs: NatOutput[]): void {
    const { endpoint, other } = server
    const alternate = other ?? endpoint
    const isChange = test === 'change-both' || test === 'change-port'
    const to =
      test === 'other-host'
        ? { host: alternate.host, port: endpoint.port }
        : test === 'other-host-and-port'
          ? alternate
          : endpoint
    const from =
      test === 'change-both' ? alternate : test === 'change-port' ? { host: endpoint.host, port: alternate.port } : to
    const transaction = this.#random.bytes(stunTransactionSize)
    const bytes = encodeStunMessage({
      class: 'request',
      method: stunMethods.binding,
      transaction,
      attributes: isChange ? [stunChangeRequest({ host: test === 'change-both', port: true })] : [],
      hasFingerprint: false,
    })
    const asked: Transaction = {
      server,
      test,
      socket: isChange ? 1 : 0,
      to,
      from,
      bytes,
      sentCount: 0,
      sentAt: mono,
      dueAt: mono,
    }
    this.#pending.set(bytesToHex(transaction), asked)
    this.#send(mono, asked, outputs)
  }

  #send(mono: number, asked: Transaction, outputs: NatOutput[]): void {
    const { rtoMs, requestsMax, lastWaitRtos } = this.#limits
    asked.sentCount++
    asked.sentAt = mono
    asked.dueAt = mono + (asked.sentCount < requestsMax ? rtoMs * 2 ** (asked.sentCount - 1) : rtoMs * lastWaitRtos)
    outputs.push({ type: 'datagram', socket: asked.socket, to: asked.to, bytes: asked.bytes })
  }

  #repeat(mono: number, outputs: NatOutput[]): void {
    for (const [key, asked] of [...this.#pending]) {
      if (asked.dueAt > mono) continue
      if (asked.sentCount < this.#limits.requestsMax) this.#send(mono, asked, outputs)
      else {
        this.#pending.delete(key)
        this.#settle(mono, asked, 'silent', outputs)
      }
    }
  }

  #hear(mono: number, socket: NatSocket, from: Endpoint, bytes: Uint8Array, outputs: NatOutput[]): void {
    const decoded = decodeStunMessage(bytes)
    const key = decoded.ok ? bytesToHex(decoded.value.transaction) : ''
    const asked = this.#pending.get(key)
    const isAnswer = decoded.ok && (decoded.value.class === 'success' || decoded.value.class === 'error')
    // The address asked may refuse, or answer itself where another should: it does not know the question then.
    const isFromExpected = asked !== undefined && (isSame(from, asked.from) || isSame(from, asked.to))
    if (!decoded.ok || !isAnswer || asked?.socket !== socket || !isFromExpected) {
      this.#dropped++
      return
    }
    this.#pending.delete(key)
    const isUnderstood = decoded.value.class === 'success' && isSame(from, asked.from)
    this.#settle(mono, asked, isUnderstood ? decoded.value : 'refused', outputs, decoded.value)
  }

  #settle(
    mono: number,
    { server, test, sentAt }: Transaction,
    answer: StunMessage | 'silent' | 'refused',
    outputs: NatOutput[],
    raw?: StunMessage,
  ): void {
    const mapped = typeof answer === 'string' ? undefined : stunMappedAddress(answer)
    switch (test) {
      case 'first':
        this.#settleFirst(mono, server, answer, mapped, mono - sentAt, outputs, raw)
        break
      case 'other-host':
        server.mappedAtOtherHost = mapped
        if (mapped !== undefined && server.mapped !== undefined && !isSame(mapped, server.mapped)) {
          this.#ask(mono, server, 'other-host-and-port', outputs)
        }
        break
      case 'other-host-and-port':
        server.mappedAtOtherPort = mapped
        break
      case 'change-both':
        server.reachedFromOtherHost = answer === 'refused' ? undefined : answer !== 'silent'
        break
      case 'change-port':
        server.reachedFromOtherPort = answer === 'refused' ? undefined : answer !== 'silent'
        break
    }
  }

  #settleFirst(
    mono: number,
    server: Server,
    answer: StunMessage | 'silent' | 'refused',
    mapped: Endpoint | undefined,
    ms: number,
    outputs: NatOutput[],
    raw: StunMessage | undefined,
  ): void {
    if (answer === 'silent') {
      server.detail = 'no answer'
      return
    }
    server.isAnswering = true
    server.ms = ms
    if (answer === 'refused' || mapped === undefined) {
      const error = raw === undefined ? undefined : stunErrorCode(raw)
      server.detail = error === undefined ? 'names no address' : `refuses: ${error.code} ${error.reason}`.trim()
      return
    }
    server.mapped = mapped
    const other = stunEndpoint(answer, stunAttributes.otherAddress)
    if (other === undefined || !this.#isOtherAddress(server, other)) return
    server.other = other
    this.#ask(mono, server, 'other-host', outputs)
    const hosts = [server.endpoint.host, other.host]
    if (this.#filteringCount === this.#limits.filteringServersMax) return
    if (hosts.some((host) => this.#filteringHosts.has(host))) return
    this.#filteringCount++
    for (const host of hosts) this.#filteringHosts.add(host)
    this.#ask(mono, server, 'change-both', outputs)
    this.#ask(mono, server, 'change-port', outputs)
  }

  /**
   * Whether a server may send us to `other`: another host and port of its family and scope, so that no server in the
   * internet has us knock at a LAN, and none of the other servers, whose answers would pass for its own.
   */
  #isOtherAddress({ endpoint, url }: Server, other: Endpoint): boolean {
    const isSameFamily = endpoint.host.includes(':') === other.host.includes(':')
    if (!isSameFamily || endpoint.host === other.host || endpoint.port === other.port) return false
    if (endpointScope(endpoint) !== endpointScope(other)) return false
    return this.#servers.every((server) => server.url === url || !isSame(server.endpoint, other))
  }
}

function reportOf(server: Server, isOdd: boolean): ServerReport {
  const { url, mapped, ms } = server
  const detail = isOdd ? 'names another address than the other servers' : server.detail
  return {
    url,
    state: mapped === undefined ? 'failed' : 'ok',
    ...(ms === undefined ? {} : { ms }),
    ...(mapped === undefined ? {} : { mapped }),
    ...(detail === undefined ? {} : { detail }),
  }
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return formatEndpoint(a) === formatEndpoint(b)
}
