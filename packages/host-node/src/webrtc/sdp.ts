import { err, hexToBytes, ok, type Result } from '@miaou/core'

/** Largest SDP read, in characters. An offer of ours has about 1,000. */
export const sdpSizeMax = 65_536
// Guess: an offer of ours has 20 lines and at most 32 candidates.
const linesMax = 256
// Guess: the longest candidate of libwebrtc has about 200 characters.
const candidateSizeMax = 512

export interface SdpRules {
  readonly loopbackOnly: boolean
  /** `relay`: what would tell our address, or be reached past the relay, is no candidate. */
  readonly icePolicy: 'all' | 'relay'
  readonly candidatesMax: number
}

/** A description cut down to what a data-only connection needs. */
export interface CheckedSdp {
  readonly sdp: string
  /** SHA-256 of the DTLS certificate, 32 bytes. */
  readonly fingerprint: Uint8Array
  /** Candidates that it keeps. */
  readonly candidateCount: number
}

// Attributes of a data-only description that libwebrtc, werift and Firefox write and need. Whatever else a stranger
// puts in (media, codecs, extensions) never reaches the library.
const attributes = new Set([
  'group',
  'extmap-allow-mixed',
  'msid-semantic',
  'ice-ufrag',
  'ice-pwd',
  'ice-options',
  'fingerprint',
  'setup',
  'mid',
  'sctp-port',
  'max-message-size',
  'candidate',
  'end-of-candidates',
  'sendrecv',
])

/**
 * Checks an SDP of either end and rebuilds it from known lines (RFC 8866, RFC 8841): one `application` section, and one
 * SHA-256 fingerprint, so that the certificate that DTLS accepts is the one the channel binding names. The error is a
 * reason in words.
 */
export function checkSdp(text: string, rules: SdpRules): Result<CheckedSdp, string> {
  if (text.length > sdpSizeMax) return err(`the description has ${text.length} characters, at most ${sdpSizeMax}`)
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  if (lines.length > linesMax) return err(`the description has ${lines.length} lines, at most ${linesMax}`)
  const kept: string[] = []
  let fingerprint: string | undefined
  let sectionCount = 0
  let candidateCount = 0
  for (const line of lines) {
    if (!/^[a-z]=[\x20-\x7e]*$/.test(line)) return err('a line of the description is malformed')
    if (line.startsWith('m=')) {
      if (!/^m=application \d{1,5} (UDP|TCP)\/DTLS\/SCTP webrtc-datachannel$/.test(line) || ++sectionCount > 1) {
        return err('the description is not of one data section')
      }
      // Port 9 and 0.0.0.0 are what trickling writes (RFC 8840): a default candidate would bypass the filter.
      kept.push('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0')
    } else if (/^[vost]=/.test(line)) {
      kept.push(line)
    } else if (line.startsWith('a=')) {
      const name = /^a=([^:]*)/.exec(line)?.[1] ?? ''
      if (!attributes.has(name)) continue
      if (name === 'fingerprint') {
        const value = /^a=fingerprint:sha-256 ((?:[0-9a-f]{2}:){31}[0-9a-f]{2})$/i.exec(line)?.[1]?.toLowerCase()
        if (value === undefined || (fingerprint !== undefined && fingerprint !== value)) {
          return err('the description does not have one SHA-256 fingerprint')
        }
        fingerprint = value
      }
      if (name === 'candidate') {
        if (!isAllowedCandidate(line.slice(2), rules) || candidateCount === rules.candidatesMax) continue
        candidateCount++
      }
      kept.push(line)
    }
  }
  if (sectionCount === 0) return err('the description has no data section')
  const bytes = fingerprint === undefined ? undefined : hexToBytes(fingerprint.replaceAll(':', ''))
  if (bytes === undefined) return err('the description has no fingerprint')
  return ok({ sdp: `${kept.join('\r\n')}\r\n`, fingerprint: bytes, candidateCount })
}

/**
 * An own candidate as the other end is told it, or undefined when it is not told. Under the policy `relay` only those of
 * relays are, whatever the library gathered, and without the address that the relay sees us from.
 */
export function toldCandidate(candidate: string, rules: SdpRules): string | undefined {
  if (!isAllowedCandidate(candidate, rules)) return undefined
  if (rules.icePolicy === 'all') return candidate
  if (!/ typ relay( |$)/i.test(candidate)) return undefined
  return candidate.replace(/ raddr \S+/gi, ' raddr 0.0.0.0').replace(/ rport \d+/gi, ' rport 0')
}

/** An own description without candidates: every one is told by itself, by `toldCandidate`. */
export function withoutCandidates(sdp: string): string {
  return sdp.replace(/^a=(candidate:.*|end-of-candidates)\r?\n/gm, '')
}

/** Says our own limit in a description we send. */
export function limitMessageSize(sdp: string, messageSizeMax: number): string {
  return sdp.replace(/^a=max-message-size:\d+$/m, `a=max-message-size:${messageSizeMax}`)
}

/** Whether a candidate line (RFC 8839 §5.1, without `a=`) is well-formed and may be used under the rules. */
export function isAllowedCandidate(candidate: string, rules: SdpRules): boolean {
  if (candidate.length > candidateSizeMax) return false
  const match =
    /^candidate:[\w+/]{1,32} [12] (udp|tcp) \d{1,10} ([\w.:-]{1,253}) (\d{1,5}) typ (host|srflx|prflx|relay)( [\x20-\x7e]*)?$/i.exec(
      candidate,
    )
  if (match === null) return false
  const [, protocol, address = '', port, type] = match
  if (Number(port) > 65_535) return false
  // Whoever stays on loopback may do so by a TURN server there.
  const isOwnMachine = address === '127.0.0.1' && (type === 'host' || type === 'relay')
  if (rules.loopbackOnly) return isOwnMachine && protocol?.toLowerCase() === 'udp'
  // Behind a relay nobody asks the LAN for a name.
  if (rules.icePolicy === 'relay' && /\.local$/i.test(address)) return false
  return isAddressLike(address) && !isUnroutable(address)
}

// A name would be looked up, at a server of the other end's choice: it would learn of us whatever the ICE policy. Names
// under `.local`, behind which browsers hide, never leave the LAN.
function isAddressLike(address: string): boolean {
  return /^[\d.]+$/.test(address) || /^[\da-f.:]*:[\da-f.:]*$/i.test(address) || /^[\w-]+\.local$/i.test(address)
}

// Addresses that no peer has: unspecified, multicast, broadcast, and dotted numbers that are none.
function isUnroutable(address: string): boolean {
  if (/^[\d.]+$/.test(address)) {
    const parts = address.split('.').map(Number)
    const isAddress = parts.length === 4 && parts.every((part) => part <= 255)
    return !isAddress || parts[0] === 0 || (parts[0] as number) >= 224
  }
  return /^::$|^ff/i.test(address) && address.includes(':')
}
