import { readFileSync, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { err, ok, type Result } from '@miaou/core'
import { type BootstrapNode, parseBootstrapNode } from './bootstrap-node.ts'

/** Whom to join through (row C13). What Miaou ships is empty: no host is contacted that its owner did not name. */
export interface BootstrapConfig {
  /** Always asked. */
  readonly primaryNodes: readonly BootstrapNode[]
  /** Asked when nobody else answered. */
  readonly fallbackNodes: readonly BootstrapNode[]
  /** Asked when none of the fallback answered either. */
  readonly communityNodes: readonly BootstrapNode[]
}

export const defaultBootstrapConfig: BootstrapConfig = { primaryNodes: [], fallbackNodes: [], communityNodes: [] }

/** What `config.json` says: a list that lies in a file of its own is named by its path. */
export interface BootstrapSettings {
  readonly primaryNodes: readonly BootstrapNode[]
  readonly fallbackNodes: readonly BootstrapNode[] | string
  readonly communityNodes: readonly BootstrapNode[] | string
}

export type BootstrapListError = {
  readonly type: 'bad-bootstrap-list'
  readonly path: string
  readonly detail: string
}

/** Nodes of one list. Guess: twice what one bootstrap asks. */
const nodesMax = 64
/** Bytes of a file with a list: 64 entries of 1 KiB. */
const fileSizeMax = 65_536
const settingNames: readonly string[] = ['primaryNodes', 'fallbackNodes', 'communityNodes']

/** `bootstrap` of `config.json`: a list of primary nodes, or an object with row C13's names. The error is in words. */
export function parseBootstrapSettings(value: unknown): Result<BootstrapSettings, string> {
  if (Array.isArray(value)) {
    const primary = parseBootstrapList(value)
    return primary.ok ? ok({ ...defaultBootstrapConfig, primaryNodes: primary.value }) : primary
  }
  if (typeof value !== 'object' || value === null) return err('it must be a list of nodes or an object')
  const unknown = Object.keys(value).find((name) => !settingNames.includes(name))
  if (unknown !== undefined) return err(`"${unknown}" is not a setting of it; there are: ${settingNames.join(', ')}`)
  const lists: { primaryNodes?: unknown; fallbackNodes?: unknown; communityNodes?: unknown } = value
  const primaryNodes = parseBootstrapList(lists.primaryNodes ?? [])
  if (!primaryNodes.ok) return primaryNodes
  const fallbackNodes = parseListOrPath(lists.fallbackNodes ?? [])
  if (!fallbackNodes.ok) return fallbackNodes
  const communityNodes = parseListOrPath(lists.communityNodes ?? [])
  if (!communityNodes.ok) return communityNodes
  return ok({
    primaryNodes: primaryNodes.value,
    fallbackNodes: fallbackNodes.value,
    communityNodes: communityNodes.value,
  })
}

/**
 * The lists with what lies in files read in. A file that is absent or wrong costs its list and nothing else: it is told
 * to `onProblem`.
 */
export function loadBootstrapConfig(
  settings: BootstrapSettings,
  home: string,
  onProblem: (error: BootstrapListError) => void,
): BootstrapConfig {
  const load = (list: readonly BootstrapNode[] | string): readonly BootstrapNode[] => {
    if (typeof list !== 'string') return list
    const loaded = loadBootstrapList(isAbsolute(list) ? list : join(home, list))
    if (!loaded.ok) onProblem(loaded.error)
    return loaded.ok ? loaded.value : []
  }
  const { primaryNodes, fallbackNodes, communityNodes } = settings
  return { primaryNodes, fallbackNodes: load(fallbackNodes), communityNodes: load(communityNodes) }
}

/** A file with one JSON list of nodes, at most 64; lines that start with `//` are comments. */
export function loadBootstrapList(path: string): Result<readonly BootstrapNode[], BootstrapListError> {
  const bad = (detail: string): Result<never, BootstrapListError> => err({ type: 'bad-bootstrap-list', path, detail })
  let list: unknown
  try {
    if (statSync(path).size > fileSizeMax) return bad(`it has more than ${fileSizeMax} bytes`)
    list = JSON.parse(readFileSync(path, 'utf8').replace(/^\s*\/\/.*$/gm, ''))
  } catch (error) {
    const isRefused = error instanceof Error && 'code' in error
    return bad(isRefused ? `it cannot be read (${error.code})` : 'it is not JSON')
  }
  const parsed = parseBootstrapList(list)
  return parsed.ok ? parsed : bad(parsed.error)
}

function parseListOrPath(value: unknown): Result<readonly BootstrapNode[] | string, string> {
  if (typeof value === 'string') return value === '' ? err('a path of a list is not empty') : ok(value)
  return parseBootstrapList(value)
}

function parseBootstrapList(value: unknown): Result<readonly BootstrapNode[], string> {
  if (!Array.isArray(value) || value.length > nodesMax) return err(`it must be a list of at most ${nodesMax} nodes`)
  const nodes: BootstrapNode[] = []
  for (const [index, entry] of (value as unknown[]).entries()) {
    const node = parseBootstrapNode(entry)
    if (!node.ok) return err(`entry ${index + 1}: ${node.error}`)
    nodes.push(node.value)
  }
  return ok(nodes)
}
