import { describeSignalledTransportContract } from '@miaou/testkit'
import { ChildWebRtcTransport } from '../src/webrtc/child-client.ts'
import { WeriftTransport } from '../src/webrtc/werift-transport.ts'

const traits = { kind: 'webrtc', channels: 2, padded: false, bound: true } as const
const loopbackOnly = { loopbackOnly: true }

describeSignalledTransportContract('webrtc child', traits, async () => ({
  a: new ChildWebRtcTransport(loopbackOnly),
  b: new ChildWebRtcTransport(loopbackOnly),
}))

describeSignalledTransportContract('werift', traits, async () => ({
  a: new WeriftTransport(loopbackOnly),
  b: new WeriftTransport(loopbackOnly),
}))

describeSignalledTransportContract('webrtc child to werift', traits, async () => ({
  a: new ChildWebRtcTransport(loopbackOnly),
  b: new WeriftTransport(loopbackOnly),
}))
describeSignalledTransportContract('werift to webrtc child', traits, async () => ({
  a: new WeriftTransport(loopbackOnly),
  b: new ChildWebRtcTransport(loopbackOnly),
}))
