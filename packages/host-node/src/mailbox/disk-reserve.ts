import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs'
import { fileMode } from '../home/files.ts'

const chunk = new Uint8Array(1024 * 1024)

/**
 * Room on the disk that is taken while there is some, and given back when it is full: deleting, too, is written to the
 * log first, and without room a full mailbox could never become emptier.
 */
export class DiskReserve {
  readonly #path: string
  readonly #size: number

  constructor(path: string, size: number) {
    this.#path = path
    this.#size = size
  }

  /** Takes the room, where it is not taken yet; false where there is not so much. */
  take(): boolean {
    if (this.#isTaken()) return true
    try {
      const file = openSync(this.#path, 'w', fileMode)
      try {
        for (let left = this.#size; left > 0; left -= chunk.length) {
          const part = chunk.subarray(0, Math.min(left, chunk.length))
          if (writeSync(file, part) < part.length) throw new Error('the disk took a part')
        }
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      return true
    } catch {
      this.give()
      return false
    }
  }

  /** Gives the room back. */
  give(): void {
    rmSync(this.#path, { force: true })
  }

  #isTaken(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false })?.size === this.#size
  }
}
