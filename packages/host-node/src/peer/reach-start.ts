import { equalBytes, err, type Log, ok, type Result } from '@miaou/core'
import type { Keyring } from '@miaou/keyring'
import type { CircuitsEngine, MailboxesEngine, PipeId } from '@miaou/network'
import type { RelayAddress } from '@miaou/protocol'
import type { MailboxHost } from '../mailbox/mailbox-host.ts'
import type { StunAnswerer } from '../nat/stun-answerer.ts'
import type { RelayHost } from '../relay/relay-host.ts'
import type { Adapters } from './adapters.ts'
import { type ConfigError, configPath } from './config.ts'
import { isSameMailbox } from './known-mailboxes.ts'
import type { CreatePortMapper } from './mapped-ports.ts'
import { configuredRelaysMax, type ReachSettings } from './reach-settings.ts'
import { systemClock, systemJitter, systemRandom } from './system.ts'

/** RFC 8489 §18.6. */
const stunPortDefault = 3478

/** Relays of one run and those configured, at most. Own choice: as many of each as a configuration may name. */
export const chosenRelaysMax: number = 2 * configuredRelaysMax

/**
 * What is configured, with what one run was told in its place. Relays are those of both, each once; what a relay is
 * configured to give holds where a run only says that it is to be one.
 */
export function reachSettingsOfRun(
  home: string,
  configured: ReachSettings,
  run: ReachSettings,
): Result<ReachSettings, ConfigError> {
  const bad = (detail: string): Result<never, ConfigError> =>
    err({ type: 'bad-config', path: configPath(home), detail })
  const relays = [...(run.relays ?? []), ...(configured.relays ?? [])].filter(isFirstOfItsRelay)
  if (relays.length > chosenRelaysMax) {
    return bad(`more than ${chosenRelaysMax} relays were named, those of the configuration included`)
  }
  const mailboxes = [...(run.mailboxes ?? []), ...(configured.mailboxes ?? [])].filter(
    (mailbox, index, all) => all.findIndex((other) => isSameMailbox(other, mailbox)) === index,
  )
  const relay = run.serve?.relay && { ...configured.serve?.relay, ...run.serve.relay }
  const mailbox = run.serve?.mailbox && { ...configured.serve?.mailbox, ...run.serve.mailbox }
  const isServing = relay !== undefined || mailbox !== undefined
  const serve = isServing ? { ...(relay && { relay }), ...(mailbox && { mailbox }) } : configured.serve
  const settings = { ...configured, ...run, relays, mailboxes, ...(serve === undefined ? {} : { serve }) }
  if (settings.relayOnly === true && settings.serve?.relay !== undefined) {
    return bad('a relay is dialled at its address, which "relayOnly" hides: choose one of the two')
  }
  if (settings.relayOnly === true && settings.serve?.mailbox !== undefined) {
    return bad('a mailbox is dialled at its address, which "relayOnly" hides: choose one of the two')
  }
  return ok(settings)
}

function isFirstOfItsRelay({ relayId }: RelayAddress, index: number, all: readonly RelayAddress[]): boolean {
  return all.findIndex((other) => equalBytes(other.relayId, relayId)) === index
}

export interface Relaying {
  readonly relayHost: RelayHost | undefined
  readonly stun: StunAnswerer | undefined
  readonly createCircuits: ((nextPipe: () => PipeId) => CircuitsEngine) | undefined
  readonly mailboxHost: MailboxHost | undefined
  readonly createMailboxes: ((nextPipe: () => PipeId) => MailboxesEngine) | undefined
  readonly createPortMapper: CreatePortMapper | undefined
}

/** Loads the engines of relays: that which uses them, and where it is asked for that which is one. */
export async function createRelaying(options: {
  readonly settings: ReachSettings & { readonly offline?: boolean; readonly loopbackOnly?: boolean }
  readonly home: string
  readonly keyring: Pick<Keyring, 'storeKey'>
  readonly log: Log
  readonly adapters: Adapters
}): Promise<Relaying> {
  const { settings, keyring, log, adapters } = options
  if (settings.offline === true) {
    const none = { relayHost: undefined, mailboxHost: undefined, stun: undefined }
    return { ...none, createCircuits: undefined, createMailboxes: undefined, createPortMapper: undefined }
  }
  const [{ Circuits, Mailboxes }, { createPseudonyms }, { createNodeCrypto }, { createBoxPseudonyms, freshPseudonym }] =
    await Promise.all([
      import('@miaou/network'),
      import('../relay/pseudonyms.ts'),
      import('../crypto/node-crypto.ts'),
      import('../mailbox/owner-pseudonyms.ts'),
    ])
  const crypto = await createNodeCrypto()
  const pseudonymFor = createPseudonyms(crypto, keyring)
  const isRelay = settings.serve?.relay !== undefined
  const stun = isRelay && settings.stunPort !== 0 ? await startStun(settings, log) : undefined
  return {
    relayHost: isRelay ? await createRelay(settings, stun?.port ?? 0, keyring, log, adapters) : undefined,
    stun,
    createCircuits: (nextPipe) =>
      new Circuits({ crypto, random: systemRandom, jitter: systemJitter, pseudonymFor }, nextPipe),
    mailboxHost: settings.serve?.mailbox === undefined ? undefined : await createMailbox(options),
    createMailboxes: (nextPipe) =>
      new Mailboxes(
        {
          crypto,
          random: systemRandom,
          jitter: systemJitter,
          pseudonymFor: createBoxPseudonyms(crypto, keyring),
          freshPseudonym: () => freshPseudonym(crypto, systemRandom),
          // Who hides leaves messages through relays alone, and fetches through them too.
          directDeposits: settings.relayOnly !== true,
          ownerThroughRelay: settings.relayOnly === true,
        },
        nextPipe,
      ),
    createPortMapper: await loadPortMapper(settings),
  }
}

/** A peer that stays on this machine, or hides, lets nobody in. */
async function loadPortMapper({
  portMapping = true,
  loopbackOnly = false,
  relayOnly = false,
}: ReachSettings & { readonly loopbackOnly?: boolean }): Promise<CreatePortMapper | undefined> {
  if (!portMapping || loopbackOnly || relayOnly) return undefined
  const { PortMapper } = await import('../nat/port-mapper.ts')
  return (ports, onChange) => new PortMapper({ ports, onChange })
}

/** Without a free port friends of this relay do without: STUN helps them to direct paths, nothing else hangs on it. */
async function startStun(
  { stunPort = stunPortDefault, loopbackOnly = false }: ReachSettings & { readonly loopbackOnly?: boolean },
  log: Log,
): Promise<StunAnswerer | undefined> {
  const { StunAnswerer } = await import('../nat/stun-answerer.ts')
  const stun = new StunAnswerer({ loopbackOnly })
  const started = await stun.start(stunPort)
  if (started.ok) return stun
  log.write('warn', 'stun-not-started', { error: JSON.stringify(started.error) })
  await stun.stop()
  return undefined
}

async function createRelay(
  settings: ReachSettings,
  stunPort: number,
  keyring: Pick<Keyring, 'storeKey'>,
  log: Log,
  { websocket }: Adapters,
): Promise<RelayHost | undefined> {
  const quotas = settings.serve?.relay ?? {}
  const channel = websocket.channel?.bind(websocket)
  if (channel === undefined) return undefined
  const { createRelayHost } = await import('../relay/relay-host.ts')
  return createRelayHost({
    random: systemRandom,
    clock: systemClock,
    keyring,
    log,
    websocket: { channel },
    ...(settings.publicUrl === undefined ? {} : { publicUrl: settings.publicUrl }),
    quotas,
    stunPort,
    turn: quotas.turn ?? [],
    onCrash: (error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      log.write('error', 'relay-crashed', { error: text })
    },
  })
}

async function createMailbox({
  settings,
  home,
  keyring,
  log,
  adapters,
}: Parameters<typeof createRelaying>[0]): Promise<MailboxHost | undefined> {
  const { websocket } = adapters
  const channel = websocket.channel?.bind(websocket)
  if (channel === undefined) return undefined
  const { createMailboxHost } = await import('../mailbox/mailbox-host.ts')
  return createMailboxHost({
    home,
    random: systemRandom,
    clock: systemClock,
    keyring,
    log,
    websocket: { channel },
    quotas: settings.serve?.mailbox ?? {},
    onCrash: (error) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      log.write('error', 'mailbox-crashed', { error: text })
    },
  })
}
