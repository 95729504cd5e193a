import { clearLine, createInterface, cursorTo, emitKeypressEvents, type Interface } from 'node:readline'
import type { Io } from '../io.ts'
import { wrapWords } from '../terminal/wrap.ts'

/** A prompt at the foot of the terminal, with news appearing above it. Without a terminal: plain lines in and out. */
export class LineScreen {
  readonly #io: Io
  readonly #reader: Interface
  readonly #isTerminal: boolean
  #isClosed = false

  constructor(io: Io, handlers: { onLine(line: string): void; onKey(): void; onClose(): void }) {
    this.#io = io
    this.#isTerminal = io.stdin.isTTY === true && io.stdout.isTTY === true
    this.#reader = createInterface({
      input: io.stdin,
      ...(this.#isTerminal ? { output: io.stdout, terminal: true } : { terminal: false }),
      historySize: 100,
    })
    this.#reader.on('line', (line) => handlers.onLine(line))
    this.#reader.on('SIGINT', () => this.#reader.close())
    // A terminal whose window was closed cannot be read any more (EIO): the person has left.
    io.stdin.on('error', () => this.#reader.close())
    this.#reader.on('close', () => {
      if (this.#isClosed) return
      this.#isClosed = true
      if (this.#isTerminal) io.stdout.write('\n')
      handlers.onClose()
    })
    if (this.#isTerminal) {
      emitKeypressEvents(io.stdin, this.#reader)
      io.stdin.on('keypress', () => handlers.onKey())
    }
  }

  /** Text being typed now. */
  get typed(): string {
    return this.#reader.line
  }

  /** Prints above the prompt; what is being typed stays. */
  print(text: string): void {
    if (!this.#isTerminal) {
      this.#io.stdout.write(`${text}\n`)
      return
    }
    cursorTo(this.#io.stdout, 0)
    clearLine(this.#io.stdout, 0)
    this.#io.stdout.write(`${wrapWords(text, this.#io.stdout.columns ?? 80)}\n`)
    if (!this.#isClosed) this.#reader.prompt(true)
  }

  prompt(words: string): void {
    if (!this.#isTerminal || this.#isClosed) return
    this.#reader.setPrompt(words)
    cursorTo(this.#io.stdout, 0)
    clearLine(this.#io.stdout, 0)
    this.#reader.prompt(true)
  }

  close(): void {
    this.#reader.close()
    this.#io.stdin.pause()
  }
}
