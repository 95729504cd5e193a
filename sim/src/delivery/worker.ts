import { type Batch, type BatchResult, type Finding, runBatch } from './run.ts'

/** What a worker tells the process that started it. */
export type WorkerMessage =
  | { readonly type: 'done'; readonly schedules: number }
  | { readonly type: 'found'; readonly finding: Finding }
  | { readonly type: 'result'; readonly result: BatchResult }

// Own choice: seldom enough to cost nothing.
const tellEvery = 20

const send = (message: WorkerMessage): void => {
  process.send?.(message)
}

process.once('message', (batch) => {
  let told = 0
  const result = runBatch(batch as Batch, (schedules, finding) => {
    if (finding) send({ type: 'found', finding })
    if (schedules - told >= tellEvery) {
      send({ type: 'done', schedules: schedules - told })
      told = schedules
    }
    return true
  })
  send({ type: 'done', schedules: result.schedules - told })
  process.send?.({ type: 'result', result } satisfies WorkerMessage, () => process.disconnect())
})
