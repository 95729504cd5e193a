import { spawn } from 'node:child_process'

/** What a program of the system said; rejects with its own words when it failed. */
export async function run(program: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
    })
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk
    })
    // A program that failed at once reads no input.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(stdout)
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr.trim()}\n${input}`))
    })
  })
}

/** Lines of iproute2's own language in one namespace (undefined: the lab's own), in one process. */
export async function ip(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  const where = namespace === undefined ? [] : ['-n', namespace]
  await run('ip', [...where, '-batch', '-'], `${lines.join('\n')}\n`)
}

/** Program and arguments that run another program in a namespace, under the same process id. */
export function inNamespace(namespace: string): readonly string[] {
  return ['ip', 'netns', 'exec', namespace]
}

/** Lines for nft in one namespace. */
export async function nft(namespace: string, rules: string): Promise<void> {
  await run('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], rules)
}

/** Sets kernel parameters under `/proc/sys/net` of a namespace. */
export async function sysctl(namespace: string, values: Readonly<Record<string, number>>): Promise<void> {
  const lines = Object.entries(values).map(([name, value]) => `echo ${value} > /proc/sys/net/${name}`)
  await run('ip', ['netns', 'exec', namespace, 'sh', '-ec', lines.join('\n')])
}
