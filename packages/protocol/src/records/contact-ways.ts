import { assert, ByteReader, ByteWriter, err, ok, type Result } from '@miaou/core'
import {
  type DecodeError,
  decodeStructure,
  type Extension,
  type StructureForm,
  startStructure,
  writeExtensions,
} from '../structure.ts'
import { deviceRecordSizeMax } from './device-record.ts'
import { locatorKeySize } from './sealed-record.ts'
import { serviceRecordSizeMax } from './service-record.ts'

/** Payload of a `contactWays` frame: how the sender is reached from now on (spec/records W10). */
export interface ContactWays {
  /** 32 bytes: where the sender's records are found, until another one is told. */
  readonly locatorKey: Uint8Array
  /** Signed by the sender's device, at most 844 bytes; empty when there is no way to tell of. Not verified here. */
  readonly record: Uint8Array
  /** Signed service records that the sender met, at most 4, each at most 592 bytes. Not verified here. */
  readonly services: readonly Uint8Array[]
}

/** Service records that one frame passes on (own choice). */
export const contactServicesMax = 4
/** Largest payload: both keys, the record, the services in their extension, and one extension of a later version. */
export const contactWaysSizeMax = 4_096
/** Tags of its extensions. */
export const contactWaysTags = { services: 1 } as const

export function encodeContactWays({ locatorKey, record, services }: ContactWays): Uint8Array {
  assert(locatorKey.length === locatorKeySize, 'a locator key has 32 bytes')
  assert(record.length <= deviceRecordSizeMax && services.length <= contactServicesMax, 'a frame has bounded parts')
  const writer = startStructure().bytes(locatorKey).bytes16(record)
  return writeExtensions(writer, services.length === 0 ? [] : [packServices(services)]).finish()
}

/** The ways in `bytes`. Never throws. */
export function decodeContactWays(bytes: Uint8Array): Result<ContactWays, DecodeError> {
  const decoded = decodeStructure(form, bytes)
  if (!decoded.ok) return decoded
  const { value, extensions } = decoded.value
  const services = extensions[0] === undefined ? [] : unpackServices(extensions[0].bytes)
  return services === undefined ? err({ type: 'malformed', what: form.what }) : ok({ ...value, services })
}

const form: StructureForm<Omit<ContactWays, 'services'>> = {
  what: 'contact ways',
  sizeMax: contactWaysSizeMax,
  read: (reader) => ({ locatorKey: reader.bytes(locatorKeySize), record: reader.bytes16(deviceRecordSizeMax) }),
  knownTags: [contactWaysTags.services],
}

function packServices(services: readonly Uint8Array[]): Extension {
  const writer = new ByteWriter(1024).u8(services.length)
  for (const service of services) {
    assert(service.length > 0 && service.length <= serviceRecordSizeMax, 'a service record is bounded')
    writer.bytes16(service)
  }
  return { tag: contactWaysTags.services, bytes: writer.finish() }
}

function unpackServices(bytes: Uint8Array): Uint8Array[] | undefined {
  const reader = new ByteReader(bytes)
  const count = reader.u8()
  if (count === 0 || count > contactServicesMax) return undefined
  const services: Uint8Array[] = []
  for (let index = 0; index < count && !reader.failed; index++) {
    const service = reader.bytes16(serviceRecordSizeMax)
    if (service.length === 0) reader.fail()
    services.push(service)
  }
  return reader.finished() ? services : undefined
}
