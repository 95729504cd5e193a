import { keyKindSchema, MiaouError } from '@miaou/sdk'
import { createText, type PhraseKey, type Text } from '@miaou/text'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { type Context, createContext, type GlobalOptions, languageOf } from './context.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { Io } from './io.ts'

/** Row I04: waits before each new look at the network. */
const connectRetryMs = [1_000, 2_000, 3_000]

type Run = (context: Context, words: readonly string[], options: Record<string, unknown>) => Promise<ExitCode>

/** The command tree. Each command's code is loaded when it runs, so that `miaou id` starts fast. */
export function createProgram(io: Io, version: string, finish: (code: ExitCode) => void): Command {
  const text = createText(languageOf(io, askedLanguage(io.argv)))
  const program = new Command('miaou')
  program
    .version(version, '-V, --version', text('help.version'))
    .description(text('help.program'))
    .option('--home <folder>', text('help.home'))
    .option('--profile <name>', text('help.profile'))
    .option('--json', text('help.json'))
    .addOption(new Option('--lang <language>', text('help.lang')).choices(['en', 'fr']))
    .option('--passphrase-file <file>', text('help.passphrase-file'))
    .option('--no-passphrase', text('help.no-passphrase'))
    .option('--name <name>', text('help.name'))
    .option('--words-file <file>', text('help.words-file'))
    .helpOption('-h, --help', text('help.help'))
    .helpCommand('help [command]', text('help.help'))
    .configureOutput({
      writeOut: (words) => void io.stdout.write(words),
      writeErr: (words) => void io.stderr.write(words),
      getOutHelpWidth: () => io.stdout.columns ?? 80,
      getErrHelpWidth: () => io.stderr.columns ?? 80,
    })
    .showHelpAfterError(text('help.after-error'))
    .addHelpText('after', `\n${text('help.program-examples')}`)
  const define = createDefine(io, program, text, finish)
  definePeople(define, text)
  defineMessages(define, text)
  defineNetwork(define, program, text)
  defineKeys(define, program, text)
  for (const command of [program, ...program.commands]) settle(command)
  return program
}

/** Commander throws instead of ending the process, in every subcommand too. */
function settle(command: Command): void {
  command.exitOverride()
  for (const sub of command.commands) settle(sub)
}

function askedLanguage(argv: readonly string[]): string | undefined {
  const index = argv.indexOf('--lang')
  return index < 0 ? argv.find((word) => word.startsWith('--lang='))?.slice('--lang='.length) : argv[index + 1]
}

type Define = (
  nameAndWords: string,
  help: PhraseKey,
  run: Run,
  more?: { readonly parent?: Command; readonly examples?: string; readonly options?: (command: Command) => void },
) => void

function createDefine(io: Io, program: Command, text: Text, finish: (code: ExitCode) => void): Define {
  return (nameAndWords, help, run, { parent = program, examples, options } = {}) => {
    // Help phrases have no places to fill.
    const describe: (key: PhraseKey) => string = (key) => text(key as 'help.up')
    const command = parent.command(nameAndWords).description(describe(help))
    command.helpOption('-h, --help', text('help.help'))
    command.copyInheritedSettings(program)
    options?.(command)
    if (examples !== undefined) command.addHelpText('after', `\n${text('help.examples')}\n${examples}`)
    command.action(async (...given: unknown[]) => {
      const words = given
        .slice(0, command.registeredArguments.length)
        .flat()
        .map((word) => (word === undefined ? '' : String(word)))
      const all: GlobalOptions & Record<string, unknown> = command.optsWithGlobals()
      finish(await run(createContext(io, all), words, all))
    })
  }
}

function definePeople(define: Define, text: Text): void {
  define(
    'start',
    'help.start',
    async (context, _words, options) => (await import('./commands/chat.ts')).start(context, listenOptions(options)),
    {
      options: (command) => addListenOptions(command, text),
      examples: '  miaou start\n  npm start -- --profile bob',
    },
  )
  define(
    'up',
    'help.up',
    async (context, _words, options) =>
      (await import('./commands/up.ts')).up(context, {
        ...listenOptions(options),
        ...(typeof options['apiPort'] === 'number' ? { apiPort: options['apiPort'] } : {}),
      }),
    {
      options: (command) => {
        addListenOptions(command, text)
        command.option('--api-port <port>', text('help.api-port'), parsePort)
      },
      examples: '  miaou up\n  miaou up --passphrase-file /run/secrets/miaou\n  miaou up --no-passphrase --port 9998',
    },
  )
  define('id', 'help.id', async (context) => (await import('./commands/identity.ts')).id(context), {
    examples: '  miaou id\n  miaou id --json',
  })
  define(
    'rename <name>',
    'help.rename',
    async (context, [name = '']) => (await import('./commands/identity.ts')).rename(context, name),
    {
      examples: '  miaou rename "Alice"',
    },
  )
  define(
    'invite',
    'help.invite',
    async (context, _words, options) =>
      (await import('./commands/identity.ts')).invite(
        context,
        typeof options['many'] === 'number' ? options['many'] : undefined,
      ),
    {
      options: (command) => command.option('--many <count>', text('help.many'), parseCount(1_000)),
      examples: '  miaou invite\n  miaou invite --many 5',
    },
  )
  define(
    'settings [setting] [value]',
    'help.settings',
    async (context, [name = '', value = '']) => {
      const { parseSetting, settings } = await import('./commands/identity.ts')
      const change = name === '' ? undefined : parseSetting(name, value)
      if (name !== '' && change === undefined) throw new MiaouError('bad-request', { detail: `${name} ${value}` })
      return settings(context, change)
    },
    { examples: '  miaou settings\n  miaou settings typing off\n  miaou settings discoverable contacts' },
  )
  defineContacts(define, text)
}

function defineContacts(define: Define, text: Text): void {
  define(
    'contacts [action] [who] [value]',
    'help.contacts',
    async (context, [action = '', who = '', value = ''], options) => {
      const contacts = await import('./commands/contacts.ts')
      const name = typeof options['as'] === 'string' ? options['as'] : undefined
      if (action === '' || action === 'list') return contacts.listContacts(context)
      if (who === '') throw new MiaouError('bad-request', { detail: `contacts ${action} …` })
      switch (action) {
        case 'add':
          return contacts.addContact(context, who, name)
        case 'accept':
          return contacts.acceptContact(context, who)
        case 'verify':
          return contacts.verifyContact(context, who, { yes: options['yes'] === true, undo: options['undo'] === true })
        case 'block':
          return contacts.blockContact(context, who, true)
        case 'unblock':
          return contacts.blockContact(context, who, false)
        case 'rename':
          return contacts.renameContact(context, who, value)
        case 'remove':
          return contacts.removeContact(context, who)
        default:
          throw new MiaouError('bad-request', { detail: `contacts ${action}` })
      }
    },
    {
      options: (command) =>
        command
          .option('--as <name>', text('help.as'))
          .option('--yes', text('help.yes'))
          .option('--undo', text('help.undo')),
      examples: [
        '  miaou contacts',
        '  miaou contacts add miaou:invite/… --as Bob',
        '  miaou contacts accept Bob',
        '  miaou contacts verify Bob [--yes | --undo]',
        '  miaou contacts block Bob',
        '  miaou contacts unblock Bob',
        '  miaou contacts rename Bob Robert',
        '  miaou contacts remove Bob',
      ].join('\n'),
    },
  )
}

function defineMessages(define: Define, text: Text): void {
  define(
    'send [who] [text...]',
    'help.send',
    async (context, [who = '', ...words], options) => {
      const to = typeof options['to'] === 'string' ? options['to'] : who
      // With -t the first word belongs to the text.
      const spoken = typeof options['to'] === 'string' && who !== '' ? [who, ...words] : words
      const body = typeof options['message'] === 'string' ? options['message'] : spoken.join(' ')
      if (to === '') throw new MiaouError('bad-request', { detail: 'miaou send <who> "<text>"' })
      if (body === '') throw new MiaouError('empty-text')
      const key = typeof options['key'] === 'string' ? { key: options['key'] } : {}
      return (await import('./commands/messages.ts')).send(context, to, body, {
        wait: seconds(options['wait'], 10),
        confirm: options['confirm'] === true,
        ...key,
      })
    },
    {
      options: (command) =>
        command
          .option('-t, --to <who>', text('help.to'))
          .option('-m, --message <text>', text('help.message'))
          .option('--wait <seconds>', text('help.wait'), parseSeconds)
          .option('--confirm', text('help.confirm'))
          .option('--key <key>', text('help.idempotency-key')),
      examples:
        '  miaou send Alice "See you at eight"\n  miaou send -t Alice -m "See you at eight" --wait 30\n  date | miaou send Alice -',
    },
  )
  define(
    'recv',
    'help.recv',
    async (context, _words, options) =>
      (await import('./commands/messages.ts')).recv(context, {
        follow: options['follow'] === true,
        wait: seconds(options['wait'], 5),
      }),
    {
      options: (command) =>
        command
          .option('-f, --follow', text('help.follow'))
          .option('--wait <seconds>', text('help.recv-wait'), parseSeconds),
      examples: '  miaou recv\n  miaou recv --follow --json',
    },
  )
  define(
    'history [who]',
    'help.history',
    async (context, [who = ''], options) => {
      const name = typeof options['peer'] === 'string' ? options['peer'] : who
      if (name === '') throw new MiaouError('bad-request', { detail: 'miaou history <who>' })
      const before = typeof options['before'] === 'number' ? { before: options['before'] } : {}
      const limit = typeof options['limit'] === 'number' ? options['limit'] : 20
      return (await import('./commands/messages.ts')).history(context, name, { limit, ...before })
    },
    {
      options: (command) =>
        command
          .option('-p, --peer <who>', text('help.peer'))
          .option('-l, --limit <count>', text('help.limit'), parseCount(200))
          .option('--before <position>', text('help.before'), parseCount(Number.MAX_SAFE_INTEGER)),
      examples: '  miaou history Alice\n  miaou history Alice --limit 100 --json',
    },
  )
  define(
    'search <words...>',
    'help.search',
    async (context, words, options) => {
      const who = typeof options['with'] === 'string' ? { with: options['with'] } : {}
      const limit = typeof options['limit'] === 'number' ? options['limit'] : 20
      return (await import('./commands/messages.ts')).search(context, words.join(' '), { limit, ...who })
    },
    {
      options: (command) =>
        command
          .option('--with <who>', text('help.with'))
          .option('-l, --limit <count>', text('help.limit'), parseCount(200)),
      examples: '  miaou search "red bicycle"\n  miaou search bicycle --with Alice',
    },
  )
  define(
    'chat <who>',
    'help.chat',
    async (context, [who = '']) => (await import('./commands/chat.ts')).chat(context, who),
    {
      examples: '  miaou chat Alice',
    },
  )
  define(
    'export',
    'help.export',
    async (context, _words, options) => {
      const who = typeof options['with'] === 'string' ? { with: options['with'] } : {}
      const out = typeof options['out'] === 'string' ? { out: options['out'] } : {}
      const format = options['format'] === 'json' ? 'json' : 'jsonl'
      return (await import('./commands/messages.ts')).exportAll(context, { format, ...who, ...out })
    },
    {
      options: (command) =>
        command
          .option('--with <who>', text('help.with'))
          .option('--out <file>', text('help.out'))
          .addOption(new Option('--format <format>', text('help.format')).choices(['jsonl', 'json']).default('jsonl')),
      examples: '  miaou export > miaou.jsonl\n  miaou export --format json --out miaou.json',
    },
  )
}

function defineNetwork(define: Define, program: Command, text: Text): void {
  const parent = program.command('net').description(text('help.net'))
  define(
    'start',
    'help.net-start',
    async (context, _words, options) =>
      (await import('./commands/up.ts')).up(context, {
        ...listenOptions(options),
        ...(typeof options['duration'] === 'number' ? { duration: options['duration'] } : {}),
      }),
    {
      parent,
      options: (command) => {
        addListenOptions(command, text)
        command.option('--duration <seconds>', text('help.duration'), parseSeconds)
      },
      examples: '  miaou net start --duration 60',
    },
  )
  define(
    'list-peers',
    'help.net-list-peers',
    async (context, _words, options) =>
      (await import('./commands/network.ts')).listPeers(context, options['follow'] === true),
    {
      parent,
      options: (command) => command.option('-f, --follow', text('help.follow')),
      examples: '  miaou net list-peers\n  miaou net unified list-peers',
    },
  )
  define(
    'connect [peer]',
    'help.net-connect',
    async (context, [peer = ''], options) =>
      (await import('./commands/network.ts')).connectPeer(context, target(peer, options), {
        timeoutMs: seconds(options['timeout'], 15) * 1000,
        retryMs: connectRetryMs,
        ...(typeof options['message'] === 'string' ? { message: options['message'] } : {}),
      }),
    {
      parent,
      options: (command) =>
        command
          .option('-p, --peer-id <id>', text('help.peer-id'))
          .option('-m, --message <text>', text('help.message'))
          .option('--timeout <seconds>', text('help.timeout'), parseSeconds),
      examples: '  miaou net connect 12D3KooW… -m "Hello"\n  miaou net connect ws://192.168.1.7:9999',
    },
  )
  define('info', 'help.net-info', async (context) => (await import('./commands/network.ts')).info(context), {
    parent,
    examples: '  miaou net info',
  })
  define(
    'ping [peer]',
    'help.net-ping',
    async (context, [peer = ''], options) =>
      (await import('./commands/network.ts')).ping(context, target(peer, options), {
        count: typeof options['count'] === 'number' ? options['count'] : 1,
        timeoutMs: seconds(options['timeout'], 10) * 1000,
      }),
    {
      parent,
      options: (command) =>
        command
          .option('-p, --peer-id <id>', text('help.peer-id'))
          .option('-c, --count <count>', text('help.count'), parseCount(1_000))
          .option('--timeout <seconds>', text('help.timeout'), parseSeconds),
      examples: '  miaou net ping Alice\n  miaou net ping 12D3KooW… --count 5',
    },
  )
  define(
    'diagnostics',
    'help.net-diagnostics',
    async (context) => (await import('./commands/network.ts')).diagnostics(context),
    {
      parent,
      examples: '  miaou net diagnostics',
    },
  )
}

function defineKeys(define: Define, program: Command, text: Text): void {
  const key = program.command('key').description(text('help.key'))
  const aead = program.command('aead').description(text('help.aead'))
  define(
    'generate',
    'help.key-generate',
    async (context, _words, options) =>
      (await import('./commands/keys.ts')).generateKey(
        context,
        keyKindSchema.parse(options['kind']),
        typeof options['id'] === 'string' ? options['id'] : undefined,
      ),
    {
      parent: key,
      options: (command) =>
        command
          .addOption(new Option('--kind <kind>', text('help.kind')).choices(keyKindSchema.options).default('signing'))
          .option('--id <key-id>', text('help.key-id')),
      examples: '  miaou key generate\n  miaou key generate --kind aead --id box',
    },
  )
  define('list', 'help.key-list', async (context) => (await import('./commands/keys.ts')).listKeys(context), {
    parent: key,
    examples: '  miaou key list',
  })
  define(
    'export <key-id>',
    'help.key-export',
    async (context, [keyId = ''], options) =>
      (await import('./commands/keys.ts')).exportKey(context, keyId, options['secret'] === true),
    {
      parent: key,
      options: (command) => command.option('--secret', text('help.secret')),
      examples: '  miaou key export release\n  miaou key export box --secret',
    },
  )
  define(
    'sign <key-id> <message>',
    'help.sign',
    async (context, [keyId = '', message = '']) => (await import('./commands/keys.ts')).sign(context, keyId, message),
    {
      examples: '  miaou sign release "version 1.2"',
    },
  )
  define(
    'verify <public-key> <message> <signature>',
    'help.verify',
    async (context, [publicKey = '', message = '', signature = '']) =>
      (await import('./commands/keys.ts')).verify(context, publicKey, message, signature),
    { examples: '  miaou verify 3b6a27bc… "version 1.2" e5564300…' },
  )
  define(
    'encrypt <key> <nonce> <aad> <data>',
    'help.aead-encrypt',
    async (context, [k = '', nonce = '', aad = '', data = '']) =>
      (await import('./commands/keys.ts')).aeadEncrypt(context, { key: k, nonce, aad, data }),
    { parent: aead, examples: '  miaou aead encrypt box 000000000000000000000001 header "the text"' },
  )
  define(
    'decrypt <key> <nonce> <aad> <ciphertext>',
    'help.aead-decrypt',
    async (context, [k = '', nonce = '', aad = '', data = '']) =>
      (await import('./commands/keys.ts')).aeadDecrypt(context, { key: k, nonce, aad, data }),
    { parent: aead, examples: '  miaou aead decrypt box 000000000000000000000001 header 5f0c…' },
  )
}

function addListenOptions(command: Command, text: Text): void {
  command.option('--port <port>', text('help.port'), parsePort).option('--loopback', text('help.loopback'))
}

function listenOptions(options: Record<string, unknown>) {
  return {
    ...(typeof options['port'] === 'number' ? { port: options['port'], portIsExact: true } : {}),
    ...(options['loopback'] === true ? { loopbackOnly: true } : {}),
  }
}

function target(peer: string, options: Record<string, unknown>): string {
  const named = typeof options['peerId'] === 'string' ? options['peerId'] : peer
  if (named === '') throw new MiaouError('bad-request', { detail: '<peer>' })
  return named
}

function seconds(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

function parseSeconds(value: string): number {
  const parsed = Number(value)
  // A day: beyond it the process is a daemon.
  if (!Number.isFinite(parsed) || parsed < 0 || parsed > 86_400) throw new InvalidArgumentError('0–86400')
  return parsed
}

function parseCount(countMax: number): (value: string) => number {
  return (value) => {
    const parsed = Number(value)
    if (!Number.isSafeInteger(parsed) || parsed < 1 || parsed > countMax)
      throw new InvalidArgumentError(`1–${countMax}`)
    return parsed
  }
}

function parsePort(value: string): number {
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed < 0 || parsed > 65_535) throw new InvalidArgumentError('0–65535')
  return parsed
}

/** Commander ends help and version with an error of its own. */
export function exitCodeOfCommander(error: unknown): ExitCode | undefined {
  if (!(error instanceof CommanderError)) return undefined
  return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
}
