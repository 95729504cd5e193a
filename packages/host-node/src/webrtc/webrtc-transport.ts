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
  // The Linux binaries are made for glibc; on musl this field is missing.
  // Without this the report looks up names of open sockets. The typings do not know the field yet.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return report.header?.glibcVersionRuntime !== undefined
}
