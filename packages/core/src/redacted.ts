const inspectKey = Symbol.for('nodejs.util.inspect.custom')

/** A secret that prints as `<redacted>` in logs, JSON and the inspector; `expose()` is greppable. */
export class Redacted<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  expose(): T {
    return this.#value
  }

  toString(): string {
    return '<redacted>'
  }

  toJSON(): string {
    return '<redacted>'
  }

  [inspectKey](): string {
    return '<redacted>'
  }
}
