import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One file of the project as the rules see it. */
export interface SourceFile {
  /** From the root of the project, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** A broken rule: where, and in one sentence what is wrong. */
export interface Violation {
  readonly rule: string
  readonly path: string
  /** From 1; absent where the whole file is meant. */
  readonly line?: number
  readonly message: string
}

const binary = /\.(png|jpe?g|gif|ico|woff2?|node|wasm|db|tgz)$/

/** Every text file that git knows or would take: what is ignored is not the project. */
export function readProject(root: string): SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const files: SourceFile[] = []
  for (const path of new Set(listed.split('\0'))) {
    if (path === '' || binary.test(path)) continue
    try {
      files.push({ path, text: readFileSync(join(root, path), 'utf8') })
    } catch {
      // Deleted in the work tree and not yet in git: no longer part of the project.
    }
  }
  return files
}

export function isTypeScript(path: string): boolean {
  return path.endsWith('.ts') && !path.endsWith('.d.ts')
}

export function lineOf(text: string, index: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** Every match of a pattern (flag g) as a violation. */
export function findMatches(
  file: SourceFile,
  text: string,
  pattern: RegExp,
  rule: string,
  say: (match: string) => string,
): Violation[] {
  return [...text.matchAll(pattern)].map((match) => ({
    rule,
    path: file.path,
    line: lineOf(text, match.index),
    message: say(match[0].trim()),
  }))
}
