import {
  decodeStunMessage,
  encodeStunMessage,
  type StunMessage,
  stunAttributes,
  stunChangeRequest,
  stunEndpoint,
  stunEndpointAttribute,
  stunErrorAttribute,
  stunErrorCode,
  stunMappedAddress,
  stunText,
} from '@miaou/protocol'
import { defineTarget, type FuzzTarget } from './target.ts'

/** STUN messages, and what is read out of them. */
export function stunTargets(): readonly FuzzTarget[] {
  const transaction = Uint8Array.from({ length: 12 }, (_, index) => index + 1)
  const common = { method: 1, transaction, hasFingerprint: false } as const
  const endpoint = { host: '203.0.113.5', port: 4000 }
  const messages: readonly StunMessage[] = [
    { ...common, class: 'request', attributes: [] },
    { ...common, class: 'request', attributes: [stunChangeRequest({ host: true, port: true })], hasFingerprint: true },
    {
      ...common,
      class: 'success',
      attributes: [
        stunEndpointAttribute(stunAttributes.xorMappedAddress, endpoint, transaction),
        stunEndpointAttribute(stunAttributes.otherAddress, { ...endpoint, host: '2001:db8::1' }, transaction),
      ],
      hasFingerprint: true,
    },
    { ...common, class: 'error', attributes: [stunErrorAttribute(420, 'Unknown Attribute')] },
  ]
  return [
    defineTarget<StunMessage>({
      name: 'stun-message',
      seeds: messages.map(encodeStunMessage),
      decode: (bytes) => {
        const decoded = decodeStunMessage(bytes)
        // The readers of attributes must not throw either.
        if (decoded.ok) {
          stunMappedAddress(decoded.value)
          stunEndpoint(decoded.value, stunAttributes.otherAddress)
          stunErrorCode(decoded.value)
          stunText(decoded.value, stunAttributes.software)
        }
        return decoded
      },
      encode: encodeStunMessage,
      sizeMax: 1300,
      weight: 1,
    }),
  ]
}
