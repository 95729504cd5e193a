import { readdirSync, readFileSync } from 'node:fs'

/** Process ids under a process, from `/proc` (Linux), each with its command line. */
export function descendants(pid: number): readonly { readonly pid: number; readonly command: string }[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(Number(name))
    if (parent !== undefined) parents.set(Number(name), parent)
  }
  const found: number[] = []
  for (let level = [pid]; level.length > 0; ) {
    const next = [...parents].filter(([, parent]) => level.includes(parent)).map(([child]) => child)
    found.push(...next)
    level = next
  }
  return found.map((child) => ({ pid: child, command: commandOf(child) }))
}

/** The process that holds the native WebRTC library for a daemon, undefined while there is none. */
export function webRtcChild(pid: number): number | undefined {
  return descendants(pid).find(({ command }) => command.includes('/webrtc/child'))?.pid
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

function parentOf(pid: number): number | undefined {
  // The name in parentheses may hold spaces and parentheses of its own.
  const parent = /^.*\) \S (\d+) /s.exec(readText(`/proc/${pid}/stat`))?.[1]
  return parent === undefined ? undefined : Number(parent)
}

function commandOf(pid: number): string {
  return readText(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
}

/** Empty when the process has ended meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
