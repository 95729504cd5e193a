import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuMsOf } from '../processes.ts'

export interface CoturnCost {
  readonly cpuSecondsPerGb: number
  readonly megabytes: number
}

/** Bytes of a packet: what WebRTC's data channels send at most (RFC 8831 §5, with headers, under 1,280). */
const packetSize = 1_200

/**
 * CPU time of coturn for each GB that it passes on over UDP: `turnutils_uclient` sends through it to a peer that echoes,
 * all on loopback; a packet there and one back are two carried. Undefined where coturn is not installed.
 */
export async function measureCoturn(megabytes: number): Promise<CoturnCost | undefined> {
  try {
    execFileSync('sh', ['-c', 'command -v turnserver turnutils_uclient turnutils_peer'], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const port = 20_000 + (process.pid % 20_000)
  const common = ['-n', '-L', '127.0.0.1', '-p', String(port), '--allow-loopback-peers', '--no-tls', '--no-dtls']
  const account = ['--no-cli', '--lt-cred-mech', '-u', 'bench:bench', '-r', 'bench.example', '--pidfile', '/dev/null']
  const server = start('turnserver', [...common, ...account, '--log-file', 'stdout'])
  const peer = start('turnutils_peer', ['-L', '127.0.0.1', '-p', String(port + 1)])
  try {
    await sleep(1_000)
    const before = cpuMsOf([server.pid ?? 0])
    const clients = 10
    const packets = Math.round((megabytes * 1e6) / packetSize / 2 / clients)
    const load = ['-u', 'bench', '-w', 'bench', '-p', String(port), '-e', '127.0.0.1', '-r', String(port + 1)]
    const size = ['-n', String(packets), '-m', String(clients), '-l', String(packetSize), '-z', '1', '-c', '-X']
    const uclient = start('turnutils_uclient', [...load, ...size, '127.0.0.1'])
    let text = ''
    uclient.stdout?.on('data', (chunk) => {
      text += String(chunk)
    })
    await once(uclient, 'exit')
    const cpuMs = cpuMsOf([server.pid ?? 0]) - before
    const received = [...text.matchAll(/tot_recv_bytes ~ (\d+)/g)].at(-1)?.[1]
    const sent = [...text.matchAll(/tot_send_bytes ~ (\d+)/g)].at(-1)?.[1]
    const carried = (Number(received) + Number(sent)) / 1e9
    if (!(carried > 0)) throw new Error(`turnutils_uclient carried nothing: ${text.slice(-500)}`)
    return { cpuSecondsPerGb: cpuMs / 1_000 / carried, megabytes: Math.round(carried * 1_000) }
  } finally {
    server.kill('SIGKILL')
    peer.kill('SIGKILL')
  }
}

function start(program: string, args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] })
}
