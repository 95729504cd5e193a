/** Every command that has two spellings: as the specification writes it, and as it is documented. */
export const commandNames: readonly (readonly [hyphenated: string, spaced: readonly string[]])[] = [
  ['net-start', ['net', 'start']],
  ['net-list-peers', ['net', 'list-peers']],
  ['net-connect', ['net', 'connect']],
  ['net-send', ['send']],
  ['net-history', ['history']],
  ['net-info', ['net', 'info']],
  ['net-ping', ['net', 'ping']],
  ['net-diagnostics', ['net', 'diagnostics']],
  ['net-unified-list-peers', ['net', 'list-peers', '--follow']],
  ['relay-list', ['relay', 'list']],
  ['relay-add', ['relay', 'add']],
  ['relay-remove', ['relay', 'remove']],
  ['relay-info', ['relay', 'info']],
  ['mailbox-list', ['mailbox', 'list']],
  ['mailbox-add', ['mailbox', 'add']],
  ['mailbox-remove', ['mailbox', 'remove']],
  ['mailbox-info', ['mailbox', 'info']],
  ['dht-put', ['dht', 'put']],
  ['dht-get', ['dht', 'get']],
  ['dht-info', ['dht', 'info']],
  ['dht-find', ['dht', 'find']],
  ['dht-ping', ['dht', 'ping']],
  ['dht-bootstrap', ['dht', 'bootstrap']],
  ['gossip-publish', ['gossip', 'publish']],
  ['gossip-follow', ['gossip', 'follow']],
  ['gossip-info', ['gossip', 'info']],
  ['key-generate', ['key', 'generate']],
  ['key-list', ['key', 'list']],
  ['key-export', ['key', 'export']],
  ['key-sign', ['sign']],
  ['key-verify', ['verify']],
  ['aead-encrypt', ['aead', 'encrypt']],
  ['aead-decrypt', ['aead', 'decrypt']],
]

/** Options of the whole program that take a value: the word after them is no command. */
const valueOptions = new Set(['--home', '--profile', '--lang', '--passphrase-file', '--name', '--words-file'])

/** A node, a relay or a mailbox whose key begins with a hyphen, as one in 64 does (base64url). */
const hyphenNodePattern = /^-([\w-]{42}|[\w-]{21})@/
/** Options whose value may be one. */
const nodeOptions: readonly string[] = ['--bootstrap', '--relay', '--mailbox']

/** Rewrites the words of a command to its documented spelling; everything else stays as it is. */
export function toSpaced(given: readonly string[]): string[] {
  const argv = withNodesLast(given)
  let index = 0
  while (index < argv.length && (argv[index] ?? '').startsWith('-'))
    index += valueOptions.has(argv[index] ?? '') ? 2 : 1
  for (let count = 3; count >= 1; count--) {
    const words = argv.slice(index, index + count)
    if (words.length < count) continue
    const name = words.join('-')
    const entry = commandNames.find(([hyphenated]) => hyphenated === name)
    if (entry !== undefined) return [...argv.slice(0, index), ...entry[1], ...argv.slice(index + count)]
  }
  return [...argv]
}

/** The name of a node is no option, whatever it begins with: it goes behind `--`. The value of an option stays. */
function withNodesLast(argv: readonly string[]): readonly string[] {
  const isNode = (word: string, index: number) =>
    hyphenNodePattern.test(word) && !nodeOptions.includes(argv[index - 1] ?? '')
  if (argv.includes('--') || !argv.some(isNode)) return argv
  return [...argv.filter((word, index) => !isNode(word, index)), '--', ...argv.filter(isNode)]
}
