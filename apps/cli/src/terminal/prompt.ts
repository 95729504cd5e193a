import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Io } from '../io.ts'

/** Asks one line on stderr, so that stdout stays clean. Undefined when the input ends. `isHidden`: nothing is echoed. */
export function ask(io: Io, question: string, isHidden = false): Promise<string | undefined> {
  let isMuted = false
  const output = new Writable({
    write: (chunk, encoding, done) => {
      if (isMuted) done()
      else io.stderr.write(chunk, encoding, () => done())
    },
  })
  const reader = createInterface({ input: io.stdin, output, terminal: io.stdin.isTTY === true, historySize: 0 })
  return new Promise((resolve) => {
    let answer: string | undefined
    reader.on('close', () => {
      isMuted = false
      if (isHidden) io.stderr.write('\n')
      resolve(answer)
    })
    reader.on('SIGINT', () => reader.close())
    reader.question(question, (line) => {
      answer = line
      reader.close()
    })
    isMuted = isHidden
  })
}
