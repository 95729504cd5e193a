import { equalBytes, type Log } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import { type DeviceRecord, decodeDeviceRecord, deviceRecordSizeMax, signDeviceRecord } from '@miaou/protocol'
import type { SealedDocument } from '../overlay/sealed-document.ts'

/** Bytes of the document: the last record that was signed. */
export const ownRecordSizeMax: number = deviceRecordSizeMax

/** Signs the record of this device. The last one is kept, so that no clock that goes back makes new ones look old. */
export class OwnRecord {
  readonly #crypto: Crypto
  readonly #deviceKey: KeyPair
  readonly #document: SealedDocument
  readonly #log: Log
  #sequence = 0

  constructor(crypto: Crypto, deviceKey: KeyPair, document: SealedDocument, log: Log) {
    this.#crypto = crypto
    this.#deviceKey = deviceKey
    this.#document = document
    this.#log = log
  }

  /** Of the last record signed, 0 for none. */
  get sequence(): number {
    return this.#sequence
  }

  /** Reads the document. Without one the clock alone gives the sequence. */
  load(): void {
    const body = this.#document.load()
    if (!body.ok) this.#log.write('warn', 'own-record-damaged', { detail: body.error.detail })
    if (!body.ok || body.value === undefined) return
    const record = decodeDeviceRecord(body.value)
    if (record.ok && equalBytes(record.value.value.deviceKey, this.#deviceKey.publicKey)) {
      this.#sequence = record.value.value.sequence
    }
  }

  /** The next record: its sequence is the clock's ms, and above the last one's in any case. `wall`: wall-clock ms. */
  sign(
    fields: Pick<DeviceRecord, 'ways' | 'overlayContact' | 'overlayClient' | 'mailboxes' | 'bundleKey'>,
    wall: number,
  ): Uint8Array {
    const createdAt = Math.max(0, Math.floor(wall))
    this.#sequence = Math.max(this.#sequence + 1, createdAt)
    const record = signDeviceRecord(this.#crypto, this.#deviceKey.secretKey, {
      ...fields,
      sequence: this.#sequence,
      createdAt,
      services: [],
    })
    const stored = this.#document.store(record)
    if (!stored.ok) this.#log.write('warn', 'own-record-not-saved', { code: stored.error.code })
    return record
  }
}
