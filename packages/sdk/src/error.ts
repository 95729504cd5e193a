interface ErrorKind {
  /** HTTP status of the local API. */
  readonly status: number
  /** Names of the facts that may come with it. */
  readonly facts: readonly string[]
}

/** Every code a `MiaouError` can carry. Codes are part of the API: they are never renamed, only added. */
export const errorKinds = {
  // People, messages and invites.
  'unknown-contact': { status: 404, facts: ['account', 'suggestions'] },
  'ambiguous-contact': { status: 409, facts: ['account', 'candidates'] },
  'unknown-message': { status: 404, facts: ['id'] },
  'unknown-peer': { status: 404, facts: ['peerId', 'suggestions'] },
  'not-an-invite': { status: 400, facts: [] },
  'damaged-invite': { status: 400, facts: [] },
  'newer-invite': { status: 400, facts: [] },
  'own-invite': { status: 400, facts: [] },
  'blocked-contact': { status: 409, facts: ['account'] },
  'empty-text': { status: 400, facts: [] },
  'text-too-long': { status: 413, facts: ['size', 'sizeMax'] },
  'queue-full': { status: 429, facts: ['countMax'] },
  'bad-name': { status: 400, facts: ['sizeMax'] },
  'bad-query': { status: 400, facts: [] },
  'wrong-state': { status: 409, facts: ['state'] },
  'key-reused': { status: 409, facts: [] },
  'cursor-expired': { status: 410, facts: ['oldest'] },
  'too-many': { status: 429, facts: ['what', 'countMax'] },
  'disk-full': { status: 507, facts: [] },
  'store-failed': { status: 500, facts: ['detail'] },
  // Links and transports.
  'bad-frame': { status: 502, facts: ['detail'] },
  'bad-handshake': { status: 502, facts: ['detail'] },
  'unsupported-version': { status: 502, facts: ['version'] },
  'bad-certificate': { status: 502, facts: ['detail'] },
  'wrong-peer': { status: 502, facts: ['expected', 'actual'] },
  'channel-binding-mismatch': { status: 502, facts: [] },
  self: { status: 400, facts: [] },
  'handshake-timeout': { status: 504, facts: ['afterMs'] },
  undecryptable: { status: 502, facts: ['channel'] },
  unreachable: { status: 504, facts: ['detail'] },
  silent: { status: 504, facts: ['forMs'] },
  broken: { status: 502, facts: ['detail'] },
  refused: { status: 502, facts: ['reason'] },
  'no-address': { status: 404, facts: [] },
  timeout: { status: 504, facts: ['afterMs'] },
  'bad-address': { status: 400, facts: ['address'] },
  'address-in-use': { status: 409, facts: ['address'] },
  unavailable: { status: 503, facts: ['detail'] },
  'too-large': { status: 413, facts: ['size', 'sizeMax'] },
  'too-many-pipes': { status: 503, facts: ['pipesMax'] },
  // Keys that a person made.
  'unknown-key': { status: 404, facts: ['keyId'] },
  'wrong-kind': { status: 400, facts: ['keyId', 'kind', 'wanted'] },
  'key-exists': { status: 409, facts: ['keyId'] },
  'bad-key-id': { status: 400, facts: [] },
  'too-many-keys': { status: 429, facts: ['countMax'] },
  'bad-size': { status: 400, facts: ['what', 'size', 'wanted'] },
  'wrong-key-or-data': { status: 400, facts: [] },
  'keyring-failed': { status: 500, facts: ['detail'] },
  // The overlay.
  'overlay-off': { status: 503, facts: ['reason'] },
  'overlay-unavailable': { status: 503, facts: ['detail'] },
  'no-contacts': { status: 503, facts: [] },
  'bootstrap-failed': { status: 504, facts: ['asked'] },
  'bad-node': { status: 400, facts: ['node', 'detail'] },
  unresolved: { status: 504, facts: ['address'] },
  'node-silent': { status: 504, facts: [] },
  'rendezvous-silent': { status: 504, facts: [] },
  'unknown-client': { status: 404, facts: [] },
  'punch-refused': { status: 429, facts: [] },
  'no-way-through': { status: 504, facts: [] },
  'not-found': { status: 404, facts: ['requests', 'timeouts', 'ms'] },
  'not-stored': { status: 503, facts: ['stored', 'requests', 'timeouts', 'ms'] },
  'bad-record': { status: 502, facts: [] },
  'empty-value': { status: 400, facts: [] },
  'record-too-large': { status: 413, facts: ['size', 'sizeMax'] },
  'salt-too-long': { status: 413, facts: ['size', 'sizeMax'] },
  'bad-public-key': { status: 400, facts: [] },
  'too-many-own-records': { status: 429, facts: ['recordsMax'] },
  'too-many-operations': { status: 429, facts: ['operationsMax'] },
  // Gossip.
  'bad-topic': { status: 400, facts: ['topic'] },
  'too-fast': { status: 429, facts: ['retryAfterMs'] },
  'no-neighbours': { status: 503, facts: [] },
  // Mailboxes.
  'bad-mailbox': { status: 400, facts: ['mailbox'] },
  'unknown-mailbox': { status: 404, facts: ['mailbox', 'suggestions'] },
  'configured-mailbox': { status: 409, facts: ['mailbox'] },
  // Relays, and what `up` is told.
  'bad-relay': { status: 400, facts: ['relay'] },
  'unknown-relay': { status: 404, facts: ['relay', 'suggestions'] },
  'configured-relay': { status: 409, facts: ['relay'] },
  'cannot-serve': { status: 400, facts: ['service'] },
  'not-served-yet': { status: 400, facts: ['service'] },
  'bad-public-url': { status: 400, facts: ['url'] },
  'tls-needs-both': { status: 400, facts: [] },
  'tls-unreadable': { status: 500, facts: ['detail'] },
  'cannot-listen': { status: 500, facts: ['detail'] },
  'options-conflict': { status: 400, facts: ['first', 'second'] },
  // The home and the start of a peer.
  'no-home': { status: 500, facts: ['home'] },
  'home-exists': { status: 500, facts: ['home'] },
  'home-in-use': { status: 500, facts: ['home', 'pid', 'command'] },
  'home-damaged': { status: 500, facts: ['home', 'detail'] },
  'home-newer': { status: 500, facts: ['home'] },
  'home-unwritable': { status: 500, facts: ['home', 'detail'] },
  'passphrase-needed': { status: 500, facts: [] },
  'wrong-passphrase': { status: 500, facts: [] },
  'empty-passphrase': { status: 500, facts: [] },
  'word-count': { status: 400, facts: ['count'] },
  'unknown-word': { status: 400, facts: ['word', 'position'] },
  'wrong-words': { status: 400, facts: [] },
  'bad-profile-name': { status: 400, facts: ['profile'] },
  'home-and-profile': { status: 400, facts: [] },
  'bad-config': { status: 500, facts: ['path', 'detail'] },
  'out-of-memory': { status: 500, facts: ['memoryKiB'] },
  'start-failed': { status: 500, facts: ['detail'] },
  // The way between a client and the peer.
  'bad-request': { status: 400, facts: ['detail'] },
  unauthorised: { status: 401, facts: [] },
  'forbidden-host': { status: 403, facts: ['host'] },
  'forbidden-origin': { status: 403, facts: ['origin'] },
  'unknown-operation': { status: 404, facts: ['path'] },
  'wrong-media-type': { status: 415, facts: [] },
  'request-too-large': { status: 413, facts: ['sizeMax'] },
  'rate-limited': { status: 429, facts: ['retryAfterMs'] },
  'too-many-clients': { status: 503, facts: ['countMax'] },
  'slow-client': { status: 503, facts: [] },
  'no-peer': { status: 503, facts: ['url'] },
  'connection-lost': { status: 503, facts: ['detail'] },
  'bad-answer': { status: 502, facts: ['detail'] },
  stopped: { status: 503, facts: [] },
  closed: { status: 503, facts: [] },
  internal: { status: 500, facts: [] },
} as const satisfies Readonly<Record<string, ErrorKind>>

export type ErrorCode = keyof typeof errorKinds
export type ErrorFacts = Readonly<Record<string, unknown>>

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorKinds, code)
}

export interface MiaouErrorOptions {
  /** What happened and why, for people. */
  readonly message?: string
  /** What to do next, for people. */
  readonly hint?: string
  readonly cause?: unknown
}

/** The only thing this package throws. `code` is for programs; the text package has words for each. */
export class MiaouError extends Error {
  override readonly name = 'MiaouError'
  readonly code: ErrorCode
  readonly facts: ErrorFacts
  readonly hint: string

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options: MiaouErrorOptions = {}) {
    super(options.message ?? code, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.facts = facts
    this.hint = options.hint ?? ''
  }
}
