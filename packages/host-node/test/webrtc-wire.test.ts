import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseReport } from '../src/webrtc/child-protocol.ts'
import { type Frame, FrameIntake, FrameReader, FrameWriter, frameKind } from '../src/webrtc/frames.ts'
import { checkSdp, isAllowedCandidate, limitMessageSize } from '../src/webrtc/sdp.ts'

const rules = { loopbackOnly: false, icePolicy: 'all', candidatesMax: 4 } as const
const fingerprint = Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, '0')).join(':')
const lines = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=application 5000 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 192.168.1.7',
  'a=candidate:1 1 udp 1 192.168.1.7 5000 typ host',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901',
  `a=fingerprint:sha-256 ${fingerprint}`,
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
  'a=max-message-size:262144',
]
const toSdp = (all: readonly string[]) => `${all.join('\r\n')}\r\n`

describe('checking SDP', () => {
  test('a data-only description passes, its default address left out, its fingerprint read', () => {
    const checked = checkSdp(toSdp(lines), rules)
    expect(checked.ok && checked.value.fingerprint).toEqual(Uint8Array.from({ length: 32 }, (_, i) => i))
    const sdp = checked.ok ? checked.value.sdp : ''
    expect(sdp).toContain('m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n')
    expect(sdp).toContain('a=candidate:1 1 udp 1 192.168.1.7 5000 typ host\r\n')
    expect(checkSdp(sdp, rules)).toEqual(checked)
  })

  test('on loopback only no other candidate passes', () => {
    const more = [...lines, 'a=candidate:2 1 udp 1 127.0.0.1 5000 typ host']
    const checked = checkSdp(toSdp(more), { ...rules, loopbackOnly: true })
    expect(checked.ok && checked.value.sdp.match(/candidate:\d/g)).toEqual(['candidate:2'])
  })

  test('nor one of a TURN server elsewhere; one there is on loopback, too', () => {
    const there = (address: string, type: string) =>
      isAllowedCandidate(`candidate:1 1 udp 1 ${address} 5000 typ ${type} raddr 0.0.0.0 rport 0`, {
        ...rules,
        loopbackOnly: true,
      })
    expect(there('127.0.0.1', 'relay')).toBe(true)
    expect(there('203.0.113.9', 'relay')).toBe(false)
    expect(there('127.0.0.1', 'srflx')).toBe(false)
  })

  test('candidates beyond the bound and attributes that data does not need are dropped', () => {
    const more = Array.from({ length: 9 }, (_, i) => `a=candidate:${i} 1 udp 1 10.0.0.${i} 5000 typ host`)
    const checked = checkSdp(toSdp([...lines, ...more, 'a=rtpmap:96 VP8/90000', 'b=AS:30']), rules)
    const sdp = checked.ok ? checked.value.sdp : ''
    expect(sdp.match(/a=candidate/g)?.length).toBe(4)
    expect(sdp).not.toMatch(/rtpmap|b=AS/)
  })

  const other = `a=fingerprint:sha-256 ${fingerprint.replace('1f', 'ff')}`
  test.each([
    ['two fingerprints', [...lines, other]],
    ['a weaker fingerprint beside', [...lines, 'a=fingerprint:sha-1 00:11:22']],
    ['no fingerprint', lines.filter((line) => !line.includes('fingerprint'))],
    ['a short fingerprint', lines.map((line) => (line.includes('fingerprint') ? line.slice(0, -3) : line))],
    ['a second section', [...lines, 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel']],
    ['an audio section', [...lines, 'm=audio 9 UDP/TLS/RTP/SAVPF 111']],
    ['no section', lines.filter((line) => !line.startsWith('m='))],
    ['a line of its own form', [...lines, 'hello']],
    ['a carriage return within a line', [...lines, `a=mid:0\r${other}`]],
    ['a zero byte', [...lines, 'a=mid:\0']],
    ['too many lines', [...lines, ...Array.from({ length: 300 }, () => 'a=x:y')]],
  ])('%s is refused', (_, hostile) => {
    expect(checkSdp(toSdp(hostile), rules).ok).toBe(false)
  })

  test('any text, and any mutation of a good one, never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => typeof checkSdp(text, rules).ok === 'boolean'))
    const good = toSdp(lines)
    const mutation = fc.tuple(fc.nat(good.length), fc.nat(20), fc.string({ maxLength: 20 }))
    fc.assert(
      fc.property(mutation, ([at, size, text]) => {
        checkSdp(good.slice(0, at) + text + good.slice(at + size), rules)
      }),
    )
  })

  test('our limit of a message stands in what we send', () => {
    expect(limitMessageSize(toSdp(lines), 65_536)).toContain('a=max-message-size:65536\r\n')
  })
})

describe('checking candidates', () => {
  test.each([
    'candidate:1510613869 1 udp 2122063615 127.0.0.1 53922 typ host generation 0 ufrag gIdJ network-id 3',
    'candidate:1 1 UDP 1 d3b07384-d113-4ec6-a6a5-d3b07384d113.local 5000 typ host',
    'candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active',
    'candidate:1 1 udp 1 203.0.113.7 5000 typ relay raddr 0.0.0.0 rport 0',
    'candidate:1 1 udp 1 2001:db8::1 5000 typ srflx raddr :: rport 0',
  ])('%s passes', (candidate) => {
    expect(isAllowedCandidate(candidate, rules)).toBe(true)
  })

  test.each([
    '',
    'candidate:',
    'candidate:1 1 udp 1 999.1.1.1 5000 typ host',
    'candidate:1 1 udp 1 10.0.0.1 70000 typ host',
    'candidate:1 1 udp 1 224.0.0.1 5000 typ host',
    'candidate:1 1 udp 1 255.255.255.255 5000 typ host',
    'candidate:1 1 udp 1 0.0.0.0 5000 typ host',
    'candidate:1 1 udp 1 ff02::1 5000 typ host',
    'candidate:1 1 udp 1 tracker.example.org 5000 typ host',
    'candidate:1 1 udp 1 a.tracker.local 5000 typ host',
    'candidate:1 1 udp 1 localhost 5000 typ host',
    'candidate:1 1 sctp 1 10.0.0.1 5000 typ host',
    'candidate:1 1 udp 1 10.0.0.1 5000 typ host\r\na=x',
    `candidate:1 1 udp 1 10.0.0.1 5000 typ host ${'x'.repeat(600)}`,
  ])('%j does not', (candidate) => {
    expect(isAllowedCandidate(candidate, rules)).toBe(false)
  })
})

const anyFrame = fc.record({
  kind: fc.constantFrom(...Object.values(frameKind)),
  pipe: fc.nat(0xffff_ffff),
  body: fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.integer({ min: 16_000, max: 70_000 }).map((size) => new Uint8Array(size).fill(size & 0xff)),
  ),
})

type Push = (chunk: Buffer) => boolean

/** The two ways in: the peer's, by chunks of the stream, and the child's, through one buffer. */
function readers(onFrame: (frame: Frame) => void): Push[] {
  const reader = new FrameReader(onFrame)
  const intake = new FrameIntake(({ body, ...rest }) => onFrame({ ...rest, body: body.slice() }))
  const fill = (chunk: Buffer) => {
    let isGood = true
    for (let at = 0; at < chunk.length && isGood; ) {
      const space = intake.space()
      const size = Math.min(space.length, chunk.length - at)
      space.set(chunk.subarray(at, at + size))
      isGood = intake.taken(size)
      at += size
    }
    return isGood
  }
  return [(chunk) => reader.push(chunk), fill]
}

async function write(frames: readonly Frame[]): Promise<Buffer> {
  const stream = new PassThrough({ highWaterMark: 100_000_000 })
  const writer = new FrameWriter(stream)
  for (const { kind, pipe, body } of frames) writer.write(kind, pipe, body)
  writer.flush()
  stream.end()
  return Buffer.concat(await stream.toArray())
}

describe('frames between peer and child', () => {
  test('come out as they went in, however the stream is cut', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(fc.array(anyFrame, { maxLength: 20 }), cuts, async (frames, sizes) => {
        const bytes = await write(frames)
        const seen: Frame[] = []
        for (const push of readers((frame) => seen.push(frame))) {
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % sizes.length] as number
            expect(push(bytes.subarray(at, at + size))).toBe(true)
            at += size
          }
          expect(seen.splice(0)).toEqual(frames)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('a frame cut at every byte comes out whole', async () => {
    const bytes = await write([{ kind: 0, pipe: 7, body: Uint8Array.of(1, 2, 3) }])
    for (let at = 0; at <= bytes.length; at++) {
      const seen: Frame[] = []
      for (const push of readers((frame) => seen.push(frame))) {
        push(bytes.subarray(0, at))
        push(bytes.subarray(at))
        expect(seen.splice(0)).toEqual([{ kind: 0, pipe: 7, body: Uint8Array.of(1, 2, 3) }])
      }
    }
  })

  test('a size or kind that none has ends the reading', () => {
    const bad = [
      [0, 0, 0, 4, 0, 0, 0, 0],
      [255, 255, 255, 255],
      [0, 4, 0, 1],
      [0, 0, 0, 5, 9, 0, 0, 0, 0],
    ]
    for (const bytes of bad) {
      for (const push of readers(() => expect.unreachable())) {
        expect(push(Buffer.from(bytes))).toBe(false)
        expect(push(Buffer.alloc(20))).toBe(false)
      }
    }
  })

  test('random bytes never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        for (const push of readers(({ body }) => parseReport(body))) {
          for (const chunk of chunks) if (!push(Buffer.from(chunk))) break
        }
      }),
    )
  })

  test('reports of any JSON never throw and have a known form', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseReport(new TextEncoder().encode(JSON.stringify(value)))
      }),
    )
    const encode = (value: unknown) => parseReport(new TextEncoder().encode(JSON.stringify(value)))
    expect(encode({ report: 'opened', direction: 'sideways' })).toBeUndefined()
    expect(encode({ report: 'description', description: { type: 'rollback', sdp: '' } })).toBeUndefined()
    expect(encode({ report: 'closed', error: { type: 'nonsense' } })).toEqual({
      report: 'closed',
      error: { type: 'broken', detail: '' },
    })
  })
})
