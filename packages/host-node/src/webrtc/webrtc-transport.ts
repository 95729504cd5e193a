import { closeSync, openSync, readSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type ChildWebRtcOptions, ChildWebRtcTransport } from './child-client.ts'
import { WeriftTransport } from './werift-transport.ts'

export interface WebRtcTransportOptions extends ChildWebRtcOptions {
  /** `auto`: libwebrtc in a child process where its binary exists for this machine, else werift in this process. */
  readonly library: 'auto' | 'wrtc' | 'werift'
}

/** The WebRTC transport that fits this machine. */
export function createWebRtcTransport(
  options: Partial<WebRtcTransportOptions> = {},
): ChildWebRtcTransport | WeriftTransport {
  const { library = 'auto', ...rest } = options
  const usesWerift = library === 'werift' || (library === 'auto' && !hasWrtcBinary())
  return usesWerift ? new WeriftTransport(rest) : new ChildWebRtcTransport(rest)
}

/** Whether the package that holds libwebrtc's binary for this platform is installed and made for its C library. */
export function hasWrtcBinary(): boolean {
  const require = createRequire(import.meta.url)
  try {
    const fromWrtc = createRequire(require.resolve('@roamhq/wrtc'))
    fromWrtc.resolve(`@roamhq/wrtc-${process.platform}-${process.arch}`)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  // The Linux binaries are made for glibc: this program's own header names the loader that goes with it (a report of
  // Node's would know too, and takes ten times as long). On musl it is `ld-musl-…`.
  return interpreterOf(process.execPath).includes('/ld-linux')
}

/** The first bytes of a program: the name of its loader (ELF PT_INTERP) stands close behind the headers. */
function interpreterOf(program: string): string {
  const head = Buffer.alloc(4096)
  try {
    const file = openSync(program, 'r')
    try {
      return head.toString('latin1', 0, readSync(file, head))
    } finally {
      closeSync(file)
    }
  } catch {
    return ''
  }
}
