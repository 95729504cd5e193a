import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import type { Io } from '../io.ts'

/** Asks one line on stderr, so that stdout stays clean. Undefined when the input ends. `isHidden`: nothing is echoed. */
export function ask(io: Io, question: string, isHidden = false): Promise<string | undefined> {
  // Readline echoes through its output: for a secret, one that swallows everything.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({
    input: io.stdin,
    output: isHidden ? nowhere : io.stderr,
    terminal: io.stdin.isTTY === true,
    historySize: 0,
  })
  if (isHidden) io.stderr.write(question)
  return new Promise((resolve) => {
    let answer: string | undefined
    reader.on('close', () => {
      if (isHidden || answer === undefined) io.stderr.write('\n')
      resolve(answer)
    })
    reader.on('SIGINT', () => reader.close())
    reader.question(isHidden ? '' : question, (line) => {
      answer = line
      reader.close()
    })
  })
}
