import { ByteReader, ByteWriter, bytesToHex, equalBytes, type Log } from '@miaou/core'
import { decodeRecord, recordSizeMax } from '@miaou/protocol'
import type { SealedDocument } from './sealed-document.ts'

/** Salts of one device. Guess: prekeys, presence, a signing key and what apps add. */
export const ownRecordsMax = 256

/** Bytes of the largest document: each record behind its length. */
export const ownRecordsSizeMax: number = 2 + ownRecordsMax * (2 + recordSizeMax)

interface OwnRecord {
  readonly record: Uint8Array
  readonly sequence: number
  /** Not stored in the overlay since the start. */
  isDue: boolean
}

/**
 * The signed records of this device, which are published again while the peer is up and after a restart. The document:
 * count u16, then each encoded record behind a u16 length.
 */
export class OwnRecords {
  readonly #document: SealedDocument
  readonly #log: Log
  readonly #bySalt = new Map<string, OwnRecord>()
  /** Salts at most. */
  readonly recordsMax: number

  constructor(document: SealedDocument, log: Log, recordsMax: number = ownRecordsMax) {
    this.#document = document
    this.#log = log
    this.recordsMax = recordsMax
  }

  get count(): number {
    return this.#bySalt.size
  }

  /** Reads the document. A damaged one is put aside: sequences go on by the clock then. */
  load(publicKey: Uint8Array): void {
    const body = this.#document.load()
    const records = body.ok ? decode(body.value) : undefined
    if (records === undefined) {
      const error = body.ok ? this.#document.putAside('it is no list of records') : body.error
      this.#log.write('warn', 'overlay-records-damaged', { detail: error.detail })
      return
    }
    for (const bytes of records) {
      const record = decodeRecord(bytes)
      if (!record.ok || record.value.type !== 'signed' || !equalBytes(record.value.publicKey, publicKey)) continue
      const { salt, sequence } = record.value
      this.#bySalt.set(bytesToHex(salt), { record: bytes, sequence, isDue: true })
    }
  }

  hasRoomFor(salt: Uint8Array): boolean {
    return this.#bySalt.size < this.recordsMax || this.#bySalt.has(bytesToHex(salt))
  }

  /**
   * The sequence of the next record under `salt`: the clock's milliseconds, and above the last in any case. A document
   * that was lost, or came back from a backup, thus does not make new records older than those out there.
   */
  nextSequence(salt: Uint8Array, wallMs: number): number {
    const last = this.#bySalt.get(bytesToHex(salt))?.sequence ?? 0
    return Math.max(last + 1, Math.floor(wallMs))
  }

  /** Remembers a record in place of the one before under its salt; false where the disk refuses to. */
  keep(salt: Uint8Array, sequence: number, record: Uint8Array): boolean {
    this.#bySalt.set(bytesToHex(salt), { record, sequence, isDue: true })
    const stored = this.#document.store(encode([...this.#bySalt.values()].map((own) => own.record)))
    if (!stored.ok) this.#log.write('warn', 'overlay-records-not-saved', { code: stored.error.code })
    return stored.ok
  }

  /** Records to be stored in the overlay, oldest first. */
  due(): readonly Uint8Array[] {
    return [...this.#bySalt.values()].filter(({ isDue }) => isDue).map(({ record }) => record)
  }

  /** The overlay has it, and the engine stores it again every hour from now on. */
  published(record: Uint8Array): void {
    for (const own of this.#bySalt.values()) if (own.record === record) own.isDue = false
  }
}

function encode(records: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter().u16(records.length)
  for (const record of records) writer.bytes16(record)
  return writer.finish()
}

function decode(bytes: Uint8Array | undefined): readonly Uint8Array[] | undefined {
  if (bytes === undefined) return []
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > ownRecordsMax) return undefined
  const records = Array.from({ length: count }, () => reader.bytes16(recordSizeMax))
  return reader.finished() ? records : undefined
}
