/** What a long run says on standard error while it works; nothing on a terminal-less one but the steps. */
export interface Progress {
  step(text: string): void
}

export function createProgress(write: (text: string) => void): Progress {
  const startedAt = performance.now()
  return {
    step: (text) => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      const megabytes = Math.round(process.memoryUsage.rss() / 1e6)
      write(`${seconds.padStart(7)} s ${String(megabytes).padStart(6)} MB  ${text}\n`)
    },
  }
}

export const silent: Progress = { step: () => undefined }
