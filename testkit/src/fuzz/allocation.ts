let allocated = 0

/**
 * Counts, from now on, the bytes of every `new Uint8Array(size)` in this process: a decoder that allocates what a hostile
 * length field asks for shows here even when the garbage collector hides it from memory statistics.
 */
export function countAllocations(): { readonly start: () => void; readonly bytes: () => number } {
  const original = globalThis.Uint8Array
  globalThis.Uint8Array = new Proxy(original, {
    construct(target, parameters) {
      const size: unknown = parameters[0]
      if (typeof size === 'number') allocated += size
      return Reflect.construct(target, parameters, target)
    },
  })
  return {
    start: () => {
      allocated = 0
    },
    bytes: () => allocated,
  }
}
