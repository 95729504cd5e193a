import type { PipeId, SignalledTransport, Transport, TransportEvent, TransportKind } from '@miaou/network'
import { afterEach, describe, expect, test } from 'vitest'
import { freshPipe, type RecordingHost, startRecorded } from './recording-host.ts'

/** What an adapter says of its pipes: the contract holds it to that. */
export interface TransportTraits {
  readonly kind: TransportKind
  readonly channels: 1 | 2
  readonly padded: boolean
  /** Whether pipes carry a channel binding. */
  readonly bound: boolean
}

/** Two transports that have not started. */
export interface TransportPair {
  readonly dialler: Transport
  readonly listener: Transport
  /** A well-formed address at which nobody listens. */
  readonly nobody: string
}

/** Two transports that have not started, to be joined by exchanging descriptions. */
export interface SignalledTransportPair {
  readonly a: SignalledTransport
  readonly b: SignalledTransport
}

/** One open pipe with the host and the number of each end. `a` opened it. */
interface OpenPipe {
  readonly a: RecordingHost
  readonly b: RecordingHost
  readonly pipeA: PipeId
  readonly pipeB: PipeId
  readonly transportA: Transport
  readonly transportB: Transport
}

interface Bench {
  /** Opens one more pipe between the same two transports. */
  open(): Promise<OpenPipe>
  readonly hosts: readonly RecordingHost[]
  stop(): Promise<void>
}

const messageSizeMax = 65_536

/** Contract of the port `Transport` for adapters that dial addresses. */
export function describeTransportContract(
  name: string,
  traits: TransportTraits,
  makePair: () => Promise<TransportPair>,
): void {
  const makeBench = async (): Promise<Bench> => {
    const { dialler, listener } = await makePair()
    const { host: b, addresses } = await startRecorded(listener)
    const { host: a } = await startRecorded(dialler)
    const open = async (): Promise<OpenPipe> => {
      const before = new Set(b.ofType('opened').map((event) => event.pipe))
      const pipeA = freshPipe()
      a.call(() => dialler.dial(pipeA, addresses[0] ?? ''))
      await a.opened(pipeA)
      const fresh = () => b.ofType('opened').find((event) => !before.has(event.pipe))
      await b.until(() => fresh() !== undefined)
      const pipeB = fresh()?.pipe as PipeId
      return { a, b, pipeA, pipeB, transportA: dialler, transportB: listener }
    }
    const stop = async () => {
      await Promise.all([dialler.stop(), listener.stop()])
    }
    return { open, hosts: [a, b], stop }
  }

  describe(`Transport contract: ${name}`, () => {
    describePipes(traits, makeBench)

    test('a dial to nobody ends in an error', async () => {
      const { dialler, listener, nobody } = await makePair()
      const { host } = await startRecorded(dialler)
      const pipe = freshPipe()
      host.call(() => dialler.dial(pipe, nobody))
      const closed = await host.closed(pipe)
      expect(['unreachable', 'timeout']).toContain(closed.error?.type)
      await Promise.all([dialler.stop(), listener.stop()])
      expect(host.violations).toEqual([])
    })

    test('a dial to a malformed address ends in bad-address', async () => {
      const { dialler, listener } = await makePair()
      const { host } = await startRecorded(dialler)
      for (const address of ['', 'nonsense', 'gopher://127.0.0.1:1', 'ws://', 'memory:']) {
        const pipe = freshPipe()
        host.call(() => dialler.dial(pipe, address))
        expect((await host.closed(pipe)).error).toEqual({ type: 'bad-address', address })
      }
      await Promise.all([dialler.stop(), listener.stop()])
      expect(host.violations).toEqual([])
    })

    test('a pipe closed while it is dialled ends closed', async () => {
      const { dialler, listener } = await makePair()
      const { addresses } = await startRecorded(listener)
      const { host } = await startRecorded(dialler)
      const pipe = freshPipe()
      host.call(() => {
        dialler.dial(pipe, addresses[0] ?? '')
        dialler.close(pipe)
      })
      await host.closed(pipe)
      await Promise.all([dialler.stop(), listener.stop()])
      expect(host.violations).toEqual([])
    })
  })
}

/** Contract of the port `SignalledTransport`. */
export function describeSignalledTransportContract(
  name: string,
  traits: TransportTraits,
  makePair: () => Promise<SignalledTransportPair>,
): void {
  const makeBench = async (): Promise<Bench> => {
    const { a: transportA, b: transportB } = await makePair()
    const { host: a } = await startRecorded(transportA)
    const { host: b } = await startRecorded(transportB)
    const routes = new Map<PipeId, PipeId>()
    carrySignals(a, b, transportB, routes)
    carrySignals(b, a, transportA, routes)
    const open = async (): Promise<OpenPipe> => {
      const pipeA = freshPipe()
      const pipeB = freshPipe()
      routes.set(pipeA, pipeB)
      routes.set(pipeB, pipeA)
      a.call(() => transportA.offer(pipeA))
      await Promise.all([a.opened(pipeA), b.opened(pipeB)])
      return { a, b, pipeA, pipeB, transportA, transportB }
    }
    const stop = async () => {
      await Promise.all([transportA.stop(), transportB.stop()])
    }
    return { open, hosts: [a, b], stop }
  }

  describe(`SignalledTransport contract: ${name}`, () => {
    describePipes(traits, makeBench)

    test.each([
      ['an empty offer', ''],
      ['a text that is no SDP', 'hello'],
      ['a truncated SDP', 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=appl'],
      ['an offer of 1 MiB', `v=0\r\n${'a=x:y\r\n'.repeat(150_000)}`],
    ])('%s ends the pipe in an error', async (_, sdp) => {
      const { a, b } = await makePair()
      const { host } = await startRecorded(a)
      const pipe = freshPipe()
      host.call(() => a.accept(pipe, { type: 'offer', sdp }))
      expect((await host.closed(pipe)).error?.type).toMatch(/broken|too-large/)
      await Promise.all([a.stop(), b.stop()])
      expect(host.violations).toEqual([])
    })

    test('an answer that is none ends the pipe in an error', async () => {
      const { a, b } = await makePair()
      const { host } = await startRecorded(a)
      const pipe = freshPipe()
      host.call(() => a.offer(pipe))
      await host.until(() => host.ofType('description').length === 1)
      expect(host.ofType('description')[0]?.description.type).toBe('offer')
      host.call(() => a.answer(pipe, { type: 'answer', sdp: 'nonsense' }))
      expect((await host.closed(pipe)).error?.type).toBe('broken')
      await Promise.all([a.stop(), b.stop()])
      expect(host.violations).toEqual([])
    })

    test('hostile candidates change nothing', async () => {
      const bench = await makeBench()
      const { transportA, pipeA, pipeB, a, b, transportB } = await bench.open()
      const hostile = ['candidate:', 'x'.repeat(100_000), 'candidate:1 1 udp 1 999.1.1.1 70000 typ host', '\0\r\na=x']
      a.call(() => {
        for (const candidate of hostile) {
          const target = transportA as SignalledTransport
          target.addCandidate(pipeA, { candidate, sdpMid: '0', sdpMLineIndex: 0 })
          target.addCandidate(pipeA, { candidate, sdpMid: 'nonsense', sdpMLineIndex: -5 })
        }
      })
      transportB.send(pipeB, 0, Uint8Array.of(1))
      transportA.send(pipeA, 0, Uint8Array.of(2))
      expect(await a.received(pipeA, 1)).toEqual([Uint8Array.of(1)])
      expect(await b.received(pipeB, 1)).toEqual([Uint8Array.of(2)])
      await bench.stop()
    })
  })
}

// Carries what one end must tell the other, as a link would: later, in order, never within the emit.
function carrySignals(
  from: RecordingHost,
  to: RecordingHost,
  target: SignalledTransport,
  routes: ReadonlyMap<PipeId, PipeId>,
): void {
  from.onEvent((event: TransportEvent) => {
    if (event.type !== 'description' && event.type !== 'candidate') return
    const pipe = routes.get(event.pipe)
    if (pipe === undefined) return
    setImmediate(() => {
      to.call(() => {
        if (event.type === 'candidate') target.addCandidate(pipe, event.candidate)
        else if (event.description.type === 'offer') target.accept(pipe, event.description)
        else target.answer(pipe, event.description)
      })
    })
  })
}

function describePipes(traits: TransportTraits, makeBench: () => Promise<Bench>): void {
  let bench: Bench | undefined
  const makeOpen = async (): Promise<OpenPipe> => {
    bench = await makeBench()
    return bench.open()
  }
  afterEach(async () => {
    const used = bench
    bench = undefined
    await used?.stop()
    for (const host of used?.hosts ?? []) expect(host.violations).toEqual([])
  })

  test('opens at both ends with what the adapter promises', async () => {
    const { a, b, pipeA, pipeB } = await makeOpen()
    const [opened, accepted] = [await a.opened(pipeA), await b.opened(pipeB)]
    const { kind: transport, channels, padded } = traits
    expect(opened).toMatchObject({ transport, channels, padded, direction: 'out' })
    expect(accepted).toMatchObject({ transport, channels, padded, direction: 'in' })
    expect(opened.remoteAddress).not.toBe('')
    if (traits.bound) {
      expect(opened.binding?.local.length).toBe(32)
      expect(opened.binding?.local).toEqual(accepted.binding?.remote)
      expect(opened.binding?.remote).toEqual(accepted.binding?.local)
    } else {
      expect(opened.binding).toBeUndefined()
    }
  })

  test('carries messages both ways, whole and in order', async () => {
    const { a, b, pipeA, pipeB, transportA, transportB } = await makeOpen()
    const texts = Array.from({ length: 500 }, (_, i) => numbered(i, 1 + ((i * 37) % 3000)))
    a.call(() => {
      for (const text of texts) transportA.send(pipeA, 0, text)
    })
    b.call(() => {
      for (const text of texts) transportB.send(pipeB, 0, text)
    })
    expect(await b.received(pipeB, texts.length)).toEqual(texts)
    expect(await a.received(pipeA, texts.length)).toEqual(texts)
  })

  test('gives bytes that are plain arrays of their own', async () => {
    const { b, pipeA, pipeB, transportA } = await makeOpen()
    transportA.send(pipeA, 0, Uint8Array.of(1, 2, 3))
    const [bytes] = await b.received(pipeB, 1)
    expect(bytes?.constructor).toBe(Uint8Array)
  })

  test('carries a message of one byte and one of 64 KiB', async () => {
    const { b, pipeA, pipeB, transportA } = await makeOpen()
    const large = numbered(7, messageSizeMax)
    transportA.send(pipeA, 0, Uint8Array.of(9))
    transportA.send(pipeA, 0, large)
    expect(await b.received(pipeB, 2)).toEqual([Uint8Array.of(9), large])
  })

  test('refuses a message above 64 KiB with an event', async () => {
    const { a, b, pipeA, pipeB, transportA } = await makeOpen()
    a.call(() => transportA.send(pipeA, 0, new Uint8Array(messageSizeMax + 1)))
    const closed = await a.closed(pipeA)
    expect(closed.error).toEqual({ type: 'too-large', size: messageSizeMax + 1, sizeMax: messageSizeMax })
    await b.closed(pipeB)
    expect(b.messages(pipeB)).toEqual([])
  })

  test('an orderly close delivers what was sent before, at both ends without an error', async () => {
    const { a, b, pipeA, pipeB, transportA } = await makeOpen()
    const sent = Array.from({ length: 100 }, (_, i) => numbered(i, 50_000))
    a.call(() => {
      for (const bytes of sent) transportA.send(pipeA, 0, bytes)
      transportA.close(pipeA)
      transportA.close(pipeA)
      transportA.send(pipeA, 0, Uint8Array.of(1))
    })
    expect((await b.closed(pipeB)).error).toBeUndefined()
    expect((await a.closed(pipeA)).error).toBeUndefined()
    expect(b.messages(pipeB)).toEqual(sent)
  })

  test('what concerns an unknown pipe is dropped', async () => {
    const { a, b, pipeA, pipeB, transportA } = await makeOpen()
    const unknown = freshPipe()
    a.call(() => {
      transportA.send(unknown, 0, Uint8Array.of(1))
      transportA.close(unknown)
    })
    transportA.send(pipeA, 0, Uint8Array.of(2))
    await b.received(pipeB, 1)
    expect(a.events.filter((event) => event.pipe === unknown)).toEqual([])
  })

  test('twenty pipes at once keep their messages apart', async () => {
    const first = await makeOpen()
    const pipes = [first]
    for (let i = 1; i < 20; i++) pipes.push(await (bench as Bench).open())
    for (const [i, { pipeA, pipeB, transportA, transportB }] of pipes.entries()) {
      transportA.send(pipeA, 0, numbered(i, 20))
      transportB.send(pipeB, 0, numbered(100 + i, 20))
    }
    for (const [i, { a, b, pipeA, pipeB }] of pipes.entries()) {
      expect(await b.received(pipeB, 1)).toEqual([numbered(i, 20)])
      expect(await a.received(pipeA, 1)).toEqual([numbered(100 + i, 20)])
    }
  })

  test('stop closes every pipe at both ends', async () => {
    const { a, b, pipeA, pipeB, transportA } = await makeOpen()
    const second = await (bench as Bench).open()
    await transportA.stop()
    expect(a.closedEvent(pipeA)).toBeDefined()
    expect(a.closedEvent(second.pipeA)).toBeDefined()
    await Promise.all([b.closed(pipeB), b.closed(second.pipeB)])
  })

  if (traits.channels === 2) {
    test('carries messages on the second channel', async () => {
      const { a, b, pipeA, pipeB, transportA, transportB } = await makeOpen()
      transportA.send(pipeA, 1, Uint8Array.of(1, 2))
      transportB.send(pipeB, 1, Uint8Array.of(3, 4))
      expect(await b.received(pipeB, 1, 1)).toEqual([Uint8Array.of(1, 2)])
      expect(await a.received(pipeA, 1, 1)).toEqual([Uint8Array.of(3, 4)])
    })
  }
}

// Bytes that begin with a number, so that order shows.
function numbered(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(number & 0xff)
  if (size >= 4) new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}
