import type { ByteReader, ByteWriter } from '@miaou/core'
import { assert, textToBytes } from '@miaou/core'

/** Most UTF-8 bytes of the name of a person or device (spec/messages M5; own choice). */
export const nameSizeMax = 64

// Control characters, line and paragraph separators, and the marks that reorder text: a name is shown inside
// sentences and terminal lines, which it must not break, recolour or turn round.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to refuse
const unsafeCharacters = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

/** Whether a text may be a name on the wire: at most 64 bytes of UTF-8, on one line, without reordering marks. */
export function isName(text: string): boolean {
  return text.isWellFormed() && !unsafeCharacters.test(text) && textToBytes(text).length <= nameSizeMax
}

export function writeName(writer: ByteWriter, name: string): ByteWriter {
  assert(isName(name), 'a name is checked before it is written')
  return writer.text16(name)
}

export function readName(reader: ByteReader): string {
  const name = reader.text16(nameSizeMax)
  if (unsafeCharacters.test(name)) reader.fail()
  return name
}
