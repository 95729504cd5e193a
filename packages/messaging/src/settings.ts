import { bytesToHex, hexToBytes } from '@miaou/core'
import type { Context } from './context.ts'
import { defaultSettings, type Settings } from './views.ts'

const names = ['readReceipts', 'typing', 'presence', 'discoverable', 'jitterMs', 'coverTraffic'] as const

/** Most ms of `jitterMs`: own choice, beyond it a conversation is none. */
export const jitterMsMax = 10_000

/** The person's choices and the few single values of this home. Writes go to the store at once. */
export class SettingsTable {
  readonly #context: Context
  #values: Map<string, string> | undefined

  constructor(context: Context) {
    this.#context = context
  }

  reset(): void {
    this.#values = undefined
  }

  get(): Settings {
    const values = this.#load()
    const flag = (name: 'readReceipts' | 'typing' | 'presence'): boolean => {
      const value = values.get(name)
      return value === undefined ? defaultSettings[name] : value === '1'
    }
    const discoverable = values.get('discoverable')
    const coverTraffic = values.get('coverTraffic')
    return {
      readReceipts: flag('readReceipts'),
      typing: flag('typing'),
      presence: flag('presence'),
      discoverable:
        discoverable === 'everyone' || discoverable === 'contacts' || discoverable === 'off'
          ? discoverable
          : defaultSettings.discoverable,
      jitterMs: toJitter(Number(values.get('jitterMs') ?? defaultSettings.jitterMs)),
      coverTraffic: coverTraffic === 'low' || coverTraffic === 'high' ? coverTraffic : defaultSettings.coverTraffic,
    }
  }

  set(changes: Partial<Settings>): Settings {
    for (const name of names) {
      const value = changes[name]
      if (value !== undefined) this.write(name, typeof value === 'boolean' ? (value ? '1' : '0') : String(value))
    }
    return this.get()
  }

  /** What we call ourselves. */
  selfName(): string {
    return this.#load().get('selfName') ?? this.#context.identity.name
  }

  read(name: string): string | undefined {
    return this.#load().get(name)
  }

  write(name: string, value: string): void {
    this.#context.store.run(
      'INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
      [name, value],
    )
    this.#load().set(name, value)
  }

  remove(name: string): void {
    if (!this.#load().delete(name)) return
    this.#context.store.run('DELETE FROM settings WHERE name = ?', [name])
  }

  /** Where our records are found: 32 random bytes, the same for everybody until they are renewed. */
  locatorKey(): Uint8Array {
    const known = this.read('locatorKey')
    return (known === undefined ? undefined : hexToBytes(known)) ?? this.renewLocatorKey()
  }

  /** Whoever knows the old one finds nothing new under it. */
  renewLocatorKey(): Uint8Array {
    const created = this.#context.random.bytes(32)
    this.write('locatorKey', bytesToHex(created))
    return created
  }

  #load(): Map<string, string> {
    if (this.#values === undefined) {
      const rows = this.#context.store.all('SELECT name, value FROM settings')
      this.#values = new Map(rows.map((row) => [String(row['name']), String(row['value'])]))
    }
    return this.#values
  }
}

function toJitter(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.min(jitterMsMax, Math.round(value))) : defaultSettings.jitterMs
}
