import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs'
import type { ContactReport } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { hasTerminal } from '../passphrase.ts'
import { pickContact } from '../peer/who.ts'
import { withHome, withSession } from '../session.ts'
import { formatWhen } from '../terminal/format.ts'
import { ask } from '../terminal/prompt.ts'
import { sanitise } from '../terminal/sanitise.ts'
import { checkWords, contactTable } from './contacts.ts'

/** Who wrote first and waits for an answer, with what they said of themselves. */
export function listRequests(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const requests = (await client.contacts.list()).filter(({ state }) => state === 'request')
    for (const contact of requests) out.object(contact)
    if (requests.length === 0) out.line(text('contacts.no-requests'))
    else {
      out.line(contactTable(context, requests))
      out.note(text('contacts.answer'))
    }
    return exitCodes.ok
  })
}

/** Shows the safety number after a key changed; messages go out again once the person says that it is the same. */
export function trustContact(context: Context, who: string, options: { readonly yes: boolean }): Promise<ExitCode> {
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    const contact = pickContact(await client.contacts.list(), who)
    const { name } = contact
    const { safetyNumber } = await client.contacts.safetyNumber(contact.account)
    const end = (isTrusted: boolean, words: string): ExitCode => {
      out.object({ safetyNumber, trusted: isTrusted })
      out.line(words)
      return isTrusted ? exitCodes.ok : exitCodes.error
    }
    if (contact.changed === undefined) return end(true, text('trust.nothing', { name }))
    out.line(`\n${safetyNumber}\n\n${text('trust.explain', { name })}`)
    const isAsked = !options.yes && !out.isJson && hasTerminal(context)
    const isSame = options.yes || (isAsked && (await isYes(context)))
    if (!isSame) {
      const code = end(false, text('trust.not', { name }))
      out.note(text('trust.how', { name }))
      return code
    }
    await client.contacts.trust(contact.account)
    return end(true, text('trust.done', { name }))
  })
}

async function isYes({ io, text }: Context): Promise<boolean> {
  return /^(y|yes|o|oui)$/i.test((await ask(io, `${text('trust.ask')} `))?.trim() ?? '')
}

export interface ReportOptions {
  readonly reason?: string
  /** Made with mode 0600; must not exist. */
  readonly out?: string
}

/** Blocks, and gives the person what they may show to others. */
export async function reportContact(context: Context, who: string, options: ReportOptions): Promise<ExitCode> {
  if (options.reason !== undefined) checkWords('--reason', options.reason)
  return withSession(context, async ({ client }) => {
    const { out, text } = context
    const report = await withNewFile(options.out, () => client.contacts.report(who, options.reason))
    out.object(report)
    out.line(text('contacts.now-blocked', { name: report.name }))
    if (options.out !== undefined) out.line(text('report.written', { file: options.out }))
    else out.line(`${text('report.proves-nothing')}\n\n${reportLines(context, report).join('\n')}`)
    return exitCodes.ok
  })
}

/** Has the file before anything is done, so that nobody is blocked whose report could not be kept. */
async function withNewFile(file: string | undefined, report: () => Promise<ContactReport>): Promise<ContactReport> {
  if (file === undefined) return report()
  let descriptor: number
  try {
    descriptor = openSync(file, 'wx', 0o600)
  } catch (cause) {
    throw new MiaouError('bad-request', { detail: cause instanceof Error ? cause.message : file }, { cause })
  }
  try {
    const made = await report()
    writeFileSync(descriptor, `${JSON.stringify(made, undefined, 2)}\n`)
    return made
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  } finally {
    closeSync(descriptor)
  }
}

/** Who, why, and what they wrote, for people. */
function reportLines(context: Context, report: ContactReport): string[] {
  const { text } = context
  const said = (words: string) => `  ${sanitise(words).replaceAll('\n', '\n  ')}`
  return [
    `${text('id.name')}: ${sanitise(report.name)}`,
    `${text('id.account')}: ${report.account}`,
    ...(report.reason === '' ? [] : [said(report.reason)]),
    ...(report.note === undefined ? [] : [said(text('contacts.note', { note: report.note }))]),
    ...(report.messages.length === 0 ? [] : [`${text('report.messages', { count: report.messages.length })}:`]),
    ...report.messages.map(({ text: words, storedAt }) => `${formatWhen(context, storedAt)}  ${sanitise(words)}`),
  ]
}
