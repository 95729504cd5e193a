import type { OperationInput } from '@miaou/sdk'
import type { Context } from '../context.ts'
import { type ExitCode, exitCodes } from '../exit-code.ts'
import { withHome, withSession } from '../session.ts'
import { formatTable } from '../terminal/format.ts'
import { qrCode } from '../terminal/qr.ts'
import { sanitiseLine } from '../terminal/sanitise.ts'

export function id(context: Context): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const identity = await client.identity.get()
    out.object(identity)
    out.line(
      formatTable([
        [text('id.name'), sanitiseLine(identity.name)],
        [text('id.account'), identity.account],
        [text('id.peer'), identity.peerId],
        [text('id.home'), context.home],
      ]),
    )
    return exitCodes.ok
  })
}

export function rename(context: Context, name: string): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const identity = await client.identity.rename(name)
    out.object(identity)
    out.line(text('rename.done', { name: identity.name }))
    return exitCodes.ok
  })
}

/** `uses`: how many people may use it; undefined for one. */
export function invite(context: Context, uses: number | undefined): Promise<ExitCode> {
  return withSession(context, async ({ client, daemon }) => {
    const { out, text } = context
    const created = await client.invites.create(uses)
    out.object(created)
    if (out.isJson) return exitCodes.ok
    // Alone on stdout, so that it can be piped; all the rest is said beside it.
    const code = qrCode(created.invite, out.columns)
    if (code !== undefined) out.note(`\n${code}\n`)
    out.line(created.invite)
    out.note('')
    out.note(created.uses === 1 ? text('invite.once') : text('invite.many', { count: created.uses }))
    if (daemon === undefined) out.note(text('invite.needs-up'))
    return exitCodes.ok
  })
}

type SettingsChange = OperationInput<'settings.set'>

const switches = { on: true, off: false, true: true, false: false } as const
const switchNames = ['readReceipts', 'typing', 'presence'] as const
const visibilities = ['everyone', 'contacts', 'off'] as const
const covers = ['off', 'low', 'high'] as const
/** Most ms of the jitter (messaging engine). */
const jitterMsMax = 10_000

/** What `settings <name> <value>` changes, or undefined when there is no such setting or value. */
export function parseSetting(name: string, value: string): SettingsChange | undefined {
  // In the spelling of options too: `read-receipts`.
  const spelled = name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const switchName = switchNames.find((known) => known === spelled)
  if (switchName !== undefined && Object.hasOwn(switches, value)) {
    return { [switchName]: switches[value as keyof typeof switches] }
  }
  if (spelled === 'jitterMs' || spelled === 'jitter') {
    const jitterMs = value === 'off' ? 0 : Number(value === '' ? Number.NaN : value)
    return Number.isInteger(jitterMs) && jitterMs >= 0 && jitterMs <= jitterMsMax ? { jitterMs } : undefined
  }
  if (spelled === 'coverTraffic' || spelled === 'cover') {
    const coverTraffic = covers.find((known) => known === value)
    return coverTraffic === undefined ? undefined : { coverTraffic }
  }
  const discoverable = visibilities.find((known) => known === value)
  return name === 'discoverable' && discoverable !== undefined ? { discoverable } : undefined
}

/** Shows the settings, after changing one where `change` is given. */
export function settings(context: Context, change: SettingsChange | undefined): Promise<ExitCode> {
  return withHome(context, async ({ client }) => {
    const { out, text } = context
    const current = change === undefined ? await client.settings.get() : await client.settings.set(change)
    out.object(current)
    const onOff = (isOn: boolean) => text(isOn ? 'settings.on' : 'settings.off')
    out.line(
      formatTable([
        ['readReceipts', onOff(current.readReceipts), text('settings.read-receipts')],
        ['typing', onOff(current.typing), text('settings.typing')],
        ['presence', onOff(current.presence), text('settings.presence')],
        ['discoverable', current.discoverable, text('settings.discoverable')],
        ['jitterMs', String(current.jitterMs), text('settings.jitter')],
        ['coverTraffic', current.coverTraffic, text('settings.cover')],
      ]),
    )
    return exitCodes.ok
  })
}
