import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { inNamespace } from '../net/commands.ts'
import { publicAddresses } from './lab.ts'

const [address, otherAddress] = publicAddresses.stun.v4

/** Who may use the lab's TURN server. */
export const turnUser = { username: 'miaou', credential: 'lab' } as const

/** What a daemon's configuration says of the lab's STUN and TURN server, by transport. */
export const turnServers = {
  udp: [{ urls: `turn:${address}:3478?transport=udp`, ...turnUser }],
  tcp: [{ urls: `turn:${address}:3478?transport=tcp`, ...turnUser }],
  tls: [{ urls: `turns:${address}:5349?transport=tcp`, ...turnUser }],
  stun: [{ urls: `stun:${address}:3478` }],
} as const

/** coturn on the host `stun`, with two addresses (RFC 5780) and a certificate of its own making. */
export class Turn {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Path of the certificate; whoever shall trust the server trusts this one. */
  static readonly certificate = '/run/turn/cert.pem'

  static async start(): Promise<Turn> {
    mkdirSync('/run/turn', { recursive: true })
    const key = '/run/turn/key.pem'
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
        ...['-subj', '/CN=lab', '-addext', `subjectAltName=IP:${address}`, '-keyout', key, '-out', Turn.certificate],
      ],
      { stdio: 'ignore' },
    )
    const [program = '', ...words] = [
      ...inNamespace('stun'),
      'turnserver',
      ...['-n', '--no-cli', '--log-file', 'stdout', '--simple-log', '--pidfile', '/run/turn/pid'],
      ...['-L', address, '-L', otherAddress, '--listening-port', '3478', '--tls-listening-port', '5349'],
      ...['--lt-cred-mech', '--user', `${turnUser.username}:${turnUser.credential}`, '--realm', 'lab'],
      ...['--cert', Turn.certificate, '--pkey', key, '--userdb', '/run/turn/db'],
    ]
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    await new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer): void => {
        said += chunk
        // What it opens last: its sockets are there before.
        if (said.includes('SQLite DB connection success')) resolve()
      }
      child.stdout.on('data', hear)
      child.stderr.on('data', hear)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`turnserver ended with ${code}: ${said}`)))
    })
    return new Turn(child)
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}
