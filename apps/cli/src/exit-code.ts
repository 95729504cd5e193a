import type { ErrorCode } from '@miaou/sdk'

/** How the program ends: part of its interface (spec/cli.md). */
export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  /** `send --confirm`: accepted and kept, but not confirmed within `--wait`. */
  notDelivered: 3,
  /** Who or what was named is not known. */
  notFound: 4,
  /** The other side could not be reached, or did not answer in time. */
  unreachable: 5,
  /** The home: none, in use, damaged, or its passphrase. */
  home: 6,
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

const byCode: Partial<Readonly<Record<ErrorCode, ExitCode>>> = {
  'bad-request': exitCodes.usage,
  'empty-text': exitCodes.usage,
  'bad-query': exitCodes.usage,
  'bad-address': exitCodes.usage,
  'bad-key-id': exitCodes.usage,
  'bad-size': exitCodes.usage,
  'unknown-contact': exitCodes.notFound,
  'ambiguous-contact': exitCodes.notFound,
  'unknown-message': exitCodes.notFound,
  'unknown-peer': exitCodes.notFound,
  'unknown-key': exitCodes.notFound,
  'not-found': exitCodes.notFound,
  'bad-node': exitCodes.usage,
  'empty-value': exitCodes.usage,
  'bad-public-key': exitCodes.usage,
  'no-contacts': exitCodes.unreachable,
  'bootstrap-failed': exitCodes.unreachable,
  'node-silent': exitCodes.unreachable,
  'rendezvous-silent': exitCodes.unreachable,
  'unknown-client': exitCodes.unreachable,
  'punch-refused': exitCodes.unreachable,
  'no-way-through': exitCodes.unreachable,
  'not-stored': exitCodes.unreachable,
  'bad-relay': exitCodes.usage,
  'unknown-relay': exitCodes.notFound,
  'bad-mailbox': exitCodes.usage,
  'unknown-mailbox': exitCodes.notFound,
  'cannot-serve': exitCodes.usage,
  'not-served-yet': exitCodes.usage,
  'bad-public-url': exitCodes.usage,
  'tls-needs-both': exitCodes.usage,
  'options-conflict': exitCodes.usage,
  'bad-topic': exitCodes.usage,
  'no-neighbours': exitCodes.unreachable,
  unresolved: exitCodes.unreachable,
  'no-address': exitCodes.unreachable,
  unreachable: exitCodes.unreachable,
  'handshake-timeout': exitCodes.unreachable,
  timeout: exitCodes.unreachable,
  silent: exitCodes.unreachable,
  broken: exitCodes.unreachable,
  refused: exitCodes.unreachable,
  'no-home': exitCodes.home,
  'home-exists': exitCodes.home,
  'home-in-use': exitCodes.home,
  'home-damaged': exitCodes.home,
  'home-newer': exitCodes.home,
  'home-unwritable': exitCodes.home,
  'passphrase-needed': exitCodes.home,
  'wrong-passphrase': exitCodes.home,
  'empty-passphrase': exitCodes.home,
  'bad-config': exitCodes.home,
  'word-count': exitCodes.usage,
  'unknown-word': exitCodes.usage,
  'wrong-words': exitCodes.usage,
  'bad-profile-name': exitCodes.usage,
  'home-and-profile': exitCodes.usage,
}

export function exitCodeOf(code: ErrorCode): ExitCode {
  return byCode[code] ?? exitCodes.error
}
