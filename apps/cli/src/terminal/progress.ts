import type { Context } from '../context.ts'

/** How long a person waits without a word, ms (issue 2: progress where something takes over a second). */
const silentMs = 1_000

/** Says on stderr what takes long, once it does. */
export async function withProgress<T>({ out }: Context, words: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => out.note(words), silentMs)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** A signal that aborts when the process is asked to end; `end` gives the handlers back. */
export function interruptSignal({ io }: Context): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, end: io.onInterrupt(() => controller.abort()) }
}
