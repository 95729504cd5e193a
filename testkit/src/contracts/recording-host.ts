import type { PipeId, Transport, TransportEvent, TransportHost } from '@miaou/network'

type Waiting = { readonly isDone: () => boolean; readonly resolve: () => void }

let lastPipe = 0

/** A pipe number that no host of this process has used. */
export function freshPipe(): PipeId {
  return ++lastPipe as PipeId
}

/** A host that keeps every event and lets a test wait for what it expects. */
export class RecordingHost implements TransportHost {
  readonly events: TransportEvent[] = []
  /** Events that came within a call into the transport, or after the `closed` of their pipe: must stay empty. */
  readonly violations: string[] = []
  readonly #closed = new Set<PipeId>()
  readonly #listeners: ((event: TransportEvent) => void)[] = []
  #waiting: Waiting[] = []
  #depth = 0

  readonly nextPipe = (): PipeId => freshPipe()

  readonly emit = (event: TransportEvent): void => {
    if (this.#depth > 0) this.violations.push(`${event.type} within a call`)
    if (this.#closed.has(event.pipe)) this.violations.push(`${event.type} after closed`)
    if (event.type === 'closed') this.#closed.add(event.pipe)
    this.events.push(event)
    for (const listener of this.#listeners) listener(event)
    const waiting = this.#waiting
    this.#waiting = waiting.filter((one) => !one.isDone())
    for (const one of waiting) if (!this.#waiting.includes(one)) one.resolve()
  }

  /** Makes a call into a transport and watches that no event comes within it. */
  call<T>(action: () => T): T {
    this.#depth++
    try {
      return action()
    } finally {
      this.#depth--
    }
  }

  onEvent(listener: (event: TransportEvent) => void): void {
    this.#listeners.push(listener)
  }

  /** Resolves once the condition holds; it is asked again after each event. */
  async until(isDone: () => boolean): Promise<void> {
    if (isDone()) return
    await new Promise<void>((resolve) => this.#waiting.push({ isDone, resolve }))
  }

  async opened(pipe?: PipeId): Promise<Extract<TransportEvent, { type: 'opened' }>> {
    const find = () => this.ofType('opened').find((event) => pipe === undefined || event.pipe === pipe)
    await this.until(() => find() !== undefined || (pipe !== undefined && this.closedEvent(pipe) !== undefined))
    const event = find()
    if (event === undefined) throw new Error(`closed, not opened: ${JSON.stringify(pipe && this.closedEvent(pipe))}`)
    return event
  }

  async closed(pipe: PipeId): Promise<Extract<TransportEvent, { type: 'closed' }>> {
    await this.until(() => this.closedEvent(pipe) !== undefined)
    return this.closedEvent(pipe) as Extract<TransportEvent, { type: 'closed' }>
  }

  closedEvent(pipe: PipeId): Extract<TransportEvent, { type: 'closed' }> | undefined {
    return this.ofType('closed').find((event) => event.pipe === pipe)
  }

  messages(pipe: PipeId, channel: 0 | 1 = 0): Uint8Array[] {
    return this.ofType('message')
      .filter((event) => event.pipe === pipe && event.channel === channel)
      .map((event) => event.bytes)
  }

  /** Waits for the first `count` messages of a channel. */
  async received(pipe: PipeId, count: number, channel: 0 | 1 = 0): Promise<Uint8Array[]> {
    await this.until(() => this.messages(pipe, channel).length >= count)
    return this.messages(pipe, channel)
  }

  ofType<T extends TransportEvent['type']>(type: T): Extract<TransportEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<TransportEvent, { type: T }> => event.type === type)
  }
}

/** Starts a transport on a host of its own, or throws. */
export async function startRecorded(
  transport: Transport,
): Promise<{ readonly host: RecordingHost; readonly addresses: readonly string[] }> {
  const host = new RecordingHost()
  const started = await transport.start(host)
  if (!started.ok) throw new Error(`the transport did not start: ${JSON.stringify(started.error)}`)
  return { host, addresses: started.value }
}
