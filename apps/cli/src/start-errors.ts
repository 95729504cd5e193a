import type { ErrorCode } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { StartError } from './peer-handle.ts'

/** Every word the host has for why a home cannot be used: the errors of the store and the listener come unwrapped. */
type Inner<E> = E extends { readonly type: 'store' | 'listen'; readonly error: infer Wrapped } ? Wrapped : E
type HostType = Inner<StartError>['type']

const codes: Readonly<Record<HostType, ErrorCode>> = {
  'home-absent': 'no-home',
  'home-exists': 'home-exists',
  'keyring-exists': 'home-exists',
  'home-in-use': 'home-in-use',
  'in-use': 'home-in-use',
  'no-keyring': 'home-damaged',
  damaged: 'home-damaged',
  'damaged-identity': 'home-damaged',
  'wrong-key': 'home-damaged',
  'bad-key-size': 'home-damaged',
  'cost-refused': 'home-damaged',
  'unsupported-version': 'home-newer',
  'newer-database': 'home-newer',
  unwritable: 'home-unwritable',
  io: 'home-unwritable',
  full: 'disk-full',
  'bad-name': 'bad-name',
  'bad-config': 'bad-config',
  'empty-passphrase': 'empty-passphrase',
  'passphrase-needed': 'passphrase-needed',
  'wrong-passphrase': 'wrong-passphrase',
  'out-of-memory': 'out-of-memory',
  'word-count': 'word-count',
  'unknown-word': 'unknown-word',
  'bad-checksum': 'wrong-words',
  unreachable: 'unreachable',
  timeout: 'timeout',
  'bad-address': 'bad-address',
  'address-in-use': 'address-in-use',
  unavailable: 'unavailable',
  'too-large': 'too-large',
  'too-many-pipes': 'too-many-pipes',
  broken: 'broken',
}

interface Place {
  readonly home: string
  readonly profile: string
}

/** One error of the API for an error of the host, with what a person needs to go on. */
export function toStartError(error: StartError, place: Place): MiaouError {
  const inner = error.type === 'store' || error.type === 'listen' ? error.error : error
  const { type, ...facts } = inner
  const code = error.type === 'listen' ? listenCode(error.error) : codes[type]
  if (code === 'home-in-use') return runningError('pid' in inner ? inner.pid : undefined, place)
  // What is damaged or cannot be written has a name, whichever layer found it.
  const what = 'what' in inner ? inner.what : 'detail' in inner ? inner.detail : type
  return new MiaouError(code, { home: place.home, detail: what, ...facts })
}

/** What a listener lacks is a certificate, or the right to its port: Miaou does not do without either. */
function listenCode(error: Extract<StartError, { readonly type: 'listen' }>['error']): ErrorCode {
  if (error.type !== 'unavailable') return codes[error.type]
  return error.detail.includes('TLS') ? 'tls-unreadable' : 'cannot-listen'
}

/** A peer of this home runs already, in another window. */
export function runningError(pid: number | undefined, place: Place): MiaouError {
  return new MiaouError('home-in-use', {
    home: place.home,
    pid: pid === undefined ? '?' : String(pid),
    command: secondCommand(place),
  })
}

/** What to type to be a second person on this machine. */
function secondCommand({ profile }: Place): string {
  return `npm start -- --profile ${profile === 'bob' ? 'carol' : 'bob'}`
}
