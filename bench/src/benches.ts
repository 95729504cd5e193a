/** One bench: a program of this folder that prints figures. */
export interface Bench {
  /** Of its file in this folder, without `.ts`. */
  readonly name: string
  /** Flags with which it ends within about ten seconds. */
  readonly short: readonly string[]
  /** After this it hangs. A guess: several times what it takes on two cores. */
  readonly timeoutMs: number
}

/** In the order in which `npm run bench` runs them. */
export const benches: readonly Bench[] = [
  { name: 'sessions', short: ['--messages', '100', '--rounds', '1'], timeoutMs: 120_000 },
  { name: 'sealing', short: ['--messages', '100', '--rounds', '1'], timeoutMs: 60_000 },
  {
    name: 'webrtc-path',
    short: ['--rounds', '1', '--megabytes', '2', '--messages', '1600', '--opens', '1'],
    timeoutMs: 300_000,
  },
  { name: 'messaging', short: ['--messages', '640', '--rounds', '1'], timeoutMs: 300_000 },
  { name: 'message-rate', short: ['--messages', '200', '--rounds', '1'], timeoutMs: 600_000 },
  { name: 'peer-latency', short: ['--rounds', '2', '--messages', '10'], timeoutMs: 300_000 },
  {
    name: 'end-to-end',
    short: ['--rounds', '1', '--messages', '20', '--idle-seconds', '1', '--settle-seconds', '2'],
    timeoutMs: 600_000,
  },
  {
    name: 'mailbox/deposits',
    short: ['--rounds', '1', '--count', '500', '--without-nats'],
    timeoutMs: 600_000,
  },
  { name: 'mailbox/delivery', short: ['--rounds', '1', '--messages', '20'], timeoutMs: 600_000 },
  { name: 'mailbox/store', short: ['--messages', '2000', '--opens', '1', '--asks', '5'], timeoutMs: 600_000 },
]
