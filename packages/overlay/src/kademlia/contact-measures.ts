/** Fields of one slot, 16 bits each. */
const heardHigh = 0
const heardLow = 1
const roundTrip = 2
const deviation = 3
const state = 4
const slotFields = 5

/** Times are kept in ticks of 16 ms: 32 bits of them last 2.1 years of a host's uptime. */
const tickMs = 16
/** Round trips are kept in 1/16 ms, up to 4,095.9 ms: longer than any timeout of the engine. */
const roundTripUnits = 16
const unitsMax = 0xffff
const failuresMax = 0xff

/**
 * What a routing table measures of its contacts: last heard, smoothed round trip and deviation, failures, flags. 12 bytes
 * a contact in one buffer, allocated when something is first measured: a table of a simulation that nobody ever asks
 * does without. A contact owns a slot; `slots` maps the table's rows (in order of distance) to slots, so that a row that
 * moves costs 2 bytes. Slots are dense: 0 … count − 1.
 */
export class ContactMeasures {
  #fields: Uint16Array
  #slots: Uint16Array
  #count: number

  /** `count` rows exist already, as if last heard at `heardMs`. `capacity`: ≤ 65,535 rows. */
  constructor(capacity: number, count: number, heardMs: number) {
    this.#fields = new Uint16Array(0)
    this.#slots = new Uint16Array(0)
    this.#count = count
    this.resize(capacity)
    for (let slot = 0; slot < count; slot++) {
      this.#slots[slot] = slot
      this.#setHeard(slot, heardMs)
    }
  }

  /** Bytes of the buffer. */
  get bytes(): number {
    return this.#fields.buffer.byteLength
  }

  resize(capacity: number): void {
    const buffer = new ArrayBuffer(2 * capacity * (slotFields + 1))
    const fields = new Uint16Array(buffer, 0, capacity * slotFields)
    const slots = new Uint16Array(buffer, 2 * capacity * slotFields, capacity)
    fields.set(this.#fields.subarray(0, this.#count * slotFields))
    slots.set(this.#slots.subarray(0, this.#count))
    this.#fields = fields
    this.#slots = slots
  }

  insertRow(row: number, heardMs: number): void {
    this.#slots.copyWithin(row + 1, row, this.#count)
    const slot = this.#count++
    this.#slots[row] = slot
    this.#fields.fill(0, slot * slotFields, (slot + 1) * slotFields)
    this.#setHeard(slot, heardMs)
  }

  removeRow(row: number): void {
    const slot = this.#slots[row] as number
    this.#slots.copyWithin(row, row + 1, this.#count)
    const last = --this.#count
    if (slot === last) return
    this.#fields.copyWithin(slot * slotFields, last * slotFields, (last + 1) * slotFields)
    this.#slots[this.#slots.subarray(0, last).indexOf(last)] = slot
  }

  /** Monotonic ms, rounded down to 16 ms. */
  heardMs(row: number): number {
    const at = (this.#slots[row] as number) * slotFields
    return tickMs * ((this.#fields[at + heardHigh] as number) * 0x10000 + (this.#fields[at + heardLow] as number))
  }

  heard(row: number, nowMs: number): void {
    this.#setHeard(this.#slots[row] as number, nowMs)
  }

  /** Smoothed, in ms; undefined before the first measurement. */
  roundTripMs(row: number): number | undefined {
    const units = this.#field(row, roundTrip)
    return units === 0 ? undefined : units / roundTripUnits
  }

  /** Mean deviation of the round trip in ms; 0 before the first measurement. */
  deviationMs(row: number): number {
    return this.#field(row, deviation) / roundTripUnits
  }

  /** RFC 6298 §2.2 and §2.3, with its gains of 1/8 and 1/4. */
  measured(row: number, ms: number): void {
    const at = (this.#slots[row] as number) * slotFields
    const sample = toUnits(ms)
    const smoothed = this.#fields[at + roundTrip] as number
    const spread = this.#fields[at + deviation] as number
    const isFirst = smoothed === 0
    this.#fields[at + deviation] = Math.round(
      isFirst ? sample / 2 : spread + (Math.abs(smoothed - sample) - spread) / 4,
    )
    this.#fields[at + roundTrip] = Math.max(1, Math.round(isFirst ? sample : smoothed + (sample - smoothed) / 8))
  }

  failures(row: number): number {
    return this.#field(row, state) >> 8
  }

  setFailures(row: number, count: number): void {
    const at = (this.#slots[row] as number) * slotFields + state
    this.#fields[at] = (Math.min(count, failuresMax) << 8) | ((this.#fields[at] as number) & 0xff)
  }

  flags(row: number): number {
    return this.#field(row, state) & 0xff
  }

  setFlags(row: number, flags: number): void {
    const at = (this.#slots[row] as number) * slotFields + state
    this.#fields[at] = ((this.#fields[at] as number) & 0xff00) | (flags & 0xff)
  }

  #field(row: number, field: number): number {
    return this.#fields[(this.#slots[row] as number) * slotFields + field] as number
  }

  #setHeard(slot: number, ms: number): void {
    const ticks = Math.min(0xffffffff, Math.max(0, Math.floor(ms / tickMs)))
    this.#fields[slot * slotFields + heardHigh] = ticks >>> 16
    this.#fields[slot * slotFields + heardLow] = ticks & 0xffff
  }
}

function toUnits(ms: number): number {
  return Math.min(unitsMax, Math.max(1, Math.round(ms * roundTripUnits)))
}
