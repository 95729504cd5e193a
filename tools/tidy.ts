import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { findUndeclaredWorkspaces } from './tidy/declared.ts'
import { findLicenceViolations, findLooseVersions, findPeerToPeerLibraries, type Lock } from './tidy/dependencies.ts'
import { findEscapes } from './tidy/escapes.ts'
import { findOrderViolations, findPackageCycles } from './tidy/order.ts'
import { findImpurities } from './tidy/purity.ts'
import { readProject, type SourceFile, type Violation } from './tidy/source-file.ts'
import {
  findLongFiles,
  findMachinePaths,
  findRegistryHosts,
  findSwitchedOffTests,
  findUnfinishedWords,
} from './tidy/words.ts'

/** The rules of the house that neither the compiler nor the linter holds. */
export function findViolations(files: readonly SourceFile[], lock: Lock): Violation[] {
  return [
    ...findOrderViolations(files),
    ...findPackageCycles(files),
    ...findUndeclaredWorkspaces(files),
    ...findImpurities(files),
    ...findEscapes(files),
    ...findLongFiles(files),
    ...findUnfinishedWords(files),
    ...findMachinePaths(files),
    ...findRegistryHosts(files),
    ...findSwitchedOffTests(files),
    ...findLooseVersions(files),
    ...findLicenceViolations(lock),
    ...findPeerToPeerLibraries(lock),
  ]
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..')
  const files = readProject(root)
  const lock: Lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const violations = findViolations(files, lock)
  for (const { rule, path, line, message } of violations) {
    console.log(`${path}${line === undefined ? '' : `:${line}`}  ${rule}: ${message}`)
  }
  console.log(`tidy: ${files.length} files, ${violations.length} broken rules`)
  process.exitCode = violations.length === 0 ? 0 : 1
}
