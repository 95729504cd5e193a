/** The system refused to read or write in a home. `full`: no room on the disk, or none left to this user. */
export type HomeRefused =
  | { readonly type: 'full'; readonly path: string }
  | { readonly type: 'unwritable'; readonly home: string; readonly detail: string }

/** What a failed system call says of a home: its words, without a stack. */
export function toHomeRefused(home: string, thrown: unknown): HomeRefused {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL') return { type: 'full', path: home }
  return { type: 'unwritable', home, detail: thrown instanceof Error ? thrown.message : String(thrown) }
}
