import type { KeyKind } from '@miaou/sdk'
import { Option } from 'commander'
import type { Group } from './define.ts'

/** The schema's list, written down so that the command line starts without the schemas; the compiler holds it to it. */
const keyKinds = ['signing', 'agreement', 'aead'] as const satisfies readonly KeyKind[]

const nonceExample = '000000000000000000000001'

export function defineKeys(group: Group): void {
  const { define, program, text } = group
  const parent = program.command('key').description(text('help.key'))
  define(
    'generate',
    'help.key-generate',
    async (context, _words, given) =>
      (await import('../commands/keys.ts')).generateKey(
        context,
        keyKinds.find((kind) => kind === given.text('kind')) ?? 'signing',
        given.text('id'),
      ),
    {
      parent,
      options: (command) =>
        command
          .addOption(new Option('--kind <kind>', text('help.kind')).choices(keyKinds).default('signing'))
          .option('--id <key-id>', text('help.key-id')),
      examples: ['miaou key generate', 'miaou key generate --kind aead --id box'],
    },
  )
  define('list', 'help.key-list', async (context) => (await import('../commands/keys.ts')).listKeys(context), {
    parent,
    examples: ['miaou key list'],
  })
  define(
    'export <key-id>',
    'help.key-export',
    async (context, [keyId = ''], given) =>
      (await import('../commands/keys.ts')).exportKey(context, keyId, given.flag('secret')),
    {
      parent,
      options: (command) => command.option('--secret', text('help.secret')),
      examples: ['miaou key export release', 'miaou key export box --secret'],
    },
  )
  defineCrypto(group)
}

function defineCrypto({ define, program, text }: Group): void {
  const parent = program.command('aead').description(text('help.aead'))
  define(
    'sign <key-id> <message>',
    'help.sign',
    async (context, [keyId = '', message = '']) => (await import('../commands/keys.ts')).sign(context, keyId, message),
    { examples: ['miaou sign release "version 1.2"'] },
  )
  define(
    'verify <public-key> <message> <signature>',
    'help.verify',
    async (context, [publicKey = '', message = '', signature = '']) =>
      (await import('../commands/keys.ts')).verify(context, publicKey, message, signature),
    { examples: ['miaou verify 3b6a27bc… "version 1.2" e5564300…'] },
  )
  define(
    'encrypt <key> <nonce> <aad> <data>',
    'help.aead-encrypt',
    async (context, [key = '', nonce = '', aad = '', data = '']) =>
      (await import('../commands/keys.ts')).aeadEncrypt(context, { key, nonce, aad, data }),
    { parent, examples: [`miaou aead encrypt box ${nonceExample} header "the text"`] },
  )
  define(
    'decrypt <key> <nonce> <aad> <ciphertext>',
    'help.aead-decrypt',
    async (context, [key = '', nonce = '', aad = '', data = '']) =>
      (await import('../commands/keys.ts')).aeadDecrypt(context, { key, nonce, aad, data }),
    { parent, examples: [`miaou aead decrypt box ${nonceExample} header 5f0c…`] },
  )
}
