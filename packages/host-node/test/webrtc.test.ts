import { describeSignalledTransportContract } from '@miaou/testkit'
import { ChildWebRtcTransport } from '../src/webrtc/child-client.ts'
import { WeriftTransport } from '../src/webrtc/werift-transport.ts'

const traits = { kind: 'webrtc', channels: 2, padded: false, bound: true } as const
// The contract is about what a close delivers, not about how fast a busy machine moves its 5 MB: the product waits 3 s.
const options = { loopbackOnly: true, closeTimeoutMs: 25_000 }

describeSignalledTransportContract('webrtc child', traits, async () => ({
  a: new ChildWebRtcTransport(options),
  b: new ChildWebRtcTransport(options),
}))

describeSignalledTransportContract('werift', traits, async () => ({
  a: new WeriftTransport(options),
  b: new WeriftTransport(options),
}))

describeSignalledTransportContract('webrtc child to werift', traits, async () => ({
  a: new ChildWebRtcTransport(options),
  b: new WeriftTransport(options),
}))
describeSignalledTransportContract('werift to webrtc child', traits, async () => ({
  a: new WeriftTransport(options),
  b: new ChildWebRtcTransport(options),
}))
