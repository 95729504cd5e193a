import type { Device } from './model.ts'
import type { ParcelItem } from './packing.ts'
import type { BoxTry } from './post.ts'

/** A sealed message on its way to a mailbox, without an answer. */
export interface Deposit {
  readonly device: Device
  readonly box: BoxTry
  readonly items: readonly ParcelItem[]
  token: Uint8Array | undefined
  readonly bytes: Uint8Array
  /** Monotonic ms at which it was asked for. */
  readonly at: number
  /** Tokens that somebody had used already. */
  spentTokens: number
}

/** The deposits that were not answered yet, of all devices. Memory only: after a crash they are made again. */
export class Deposits {
  readonly #byId = new Map<number, Deposit>()
  #bytes = 0

  get count(): number {
    return this.#byId.size
  }

  /** Of the sealed messages. */
  get bytes(): number {
    return this.#bytes
  }

  add(id: number, deposit: Deposit): void {
    this.#byId.set(id, deposit)
    this.#bytes += deposit.bytes.length
  }

  get(id: number): Deposit | undefined {
    return this.#byId.get(id)
  }

  delete(id: number): void {
    const deposit = this.#byId.get(id)
    if (!deposit) return
    this.#byId.delete(id)
    this.#bytes -= deposit.bytes.length
  }

  clear(): void {
    this.#byId.clear()
    this.#bytes = 0
  }

  /** The one that waits longest. */
  oldest(): { readonly id: number; readonly at: number } | undefined {
    for (const [id, { at }] of this.#byId) return { id, at }
    return undefined
  }

  /** How many are on their way to a device. */
  countOf(device: Device): number {
    let count = 0
    for (const deposit of this.#byId.values()) if (deposit.device === device) count += 1
    return count
  }

  /** Positions of the texts on their way to a device, and the keys of the boxes each of them goes to. */
  texts(device: Device): Map<number, Set<string>> {
    const boxesByPosition = new Map<number, Set<string>>()
    for (const deposit of this.#byId.values()) {
      if (deposit.device !== device) continue
      for (const item of deposit.items) {
        if (item.type !== 'text') continue
        const { position } = item.delivery.message
        const boxes = boxesByPosition.get(position) ?? new Set()
        boxesByPosition.set(position, boxes.add(deposit.box.key))
      }
    }
    return boxesByPosition
  }

  /** Whether something like that is on its way to a box of a device. */
  has(device: Device, { key }: BoxTry, isMeant: (item: ParcelItem) => boolean): boolean {
    for (const deposit of this.#byId.values()) {
      if (deposit.device === device && deposit.box.key === key && deposit.items.some(isMeant)) return true
    }
    return false
  }
}
