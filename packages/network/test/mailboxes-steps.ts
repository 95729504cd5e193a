import type { BoxAddress } from '@miaou/protocol'
import { depositToken, tokenHash } from '@miaou/protocol'
import { MemoryMessageQueue } from '../../../testkit/src/memory-message-queue.ts'
import type { BoxSupply } from '../src/mailbox/interface.ts'
import { MailboxService } from '../src/mailbox/mailbox-service.ts'
import type { MailboxesOptions } from '../src/mailbox/mailboxes.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'
import { MailboxDouble } from './mailbox-double.ts'
import { MailboxesWorld, type WorldClient, type WorldMailbox } from './mailboxes-world.ts'

export interface DoubledMailbox {
  readonly mailbox: WorldMailbox
  readonly double: MailboxDouble
}

export function addDouble(world: MailboxesWorld, seed = 3_000 + world.mailboxes.length): DoubledMailbox {
  const double = new MailboxDouble(testPseudonym(seed))
  return { mailbox: world.addMailbox(double.identity, double), double }
}

/** A mailbox with the real service over a queue in memory, which takes 3 ms for a group. */
export interface ServedMailbox {
  readonly mailbox: WorldMailbox
  service: MailboxService
  queue: MemoryMessageQueue
  /** The process ends and starts again; what was durable is there. */
  restart(): void
}

export function addService(world: MailboxesWorld, seed: number): ServedMailbox {
  const identity = testPseudonym(seed)
  const create = (): MailboxService => new MailboxService({ crypto, random: new SeededRandom(seed), identity })
  const service = create()
  const mailbox = world.addMailbox(identity, service)
  const served: ServedMailbox = {
    mailbox,
    service,
    queue: new MemoryMessageQueue(),
    restart: () => {
      served.service = create()
      served.queue = served.queue.reopened()
      mailbox.engine = served.service
    },
  }
  mailbox.onQueue = ({ batch, operations }) => {
    const { service: asking, queue } = served
    const results = queue.applyNow(operations)
    world.at(3, () => {
      if (served.service === asking) world.mailboxHandle(mailbox, { type: 'queued', batch, results })
    })
  }
  return served
}

const secret = new Uint8Array(32).fill(9)

/** A token for a box, by its number. */
export function token(box: Uint8Array, number: number): Uint8Array {
  return depositToken(crypto, secret, box, number)
}

export function supplyOf(box: Uint8Array, tokensCount: number, more: Partial<BoxSupply> = {}): BoxSupply {
  const tokenHashes = Array.from({ length: tokensCount }, (_, number) => tokenHash(crypto, token(box, number)))
  const bundles = { resetBundles: false, oneTimeBundles: [], lastResortBundle: undefined }
  return { resetTokens: false, tokenHashes, ...bundles, ...more }
}

export function message(size: number, fill = 1): Uint8Array {
  return new Uint8Array(size).fill(fill)
}

/** Bob keeps a box with tokens at a mailbox, and alice may write to it. */
export interface Correspondence extends DoubledMailbox {
  readonly world: MailboxesWorld
  readonly alice: WorldClient
  readonly bob: WorldClient
  readonly to: BoxAddress
}

export function correspond(
  tokensCount = 64,
  options: { readonly alice?: Partial<MailboxesOptions>; readonly bob?: Partial<MailboxesOptions> } = {},
): Correspondence {
  const world = new MailboxesWorld()
  const { mailbox, double } = addDouble(world)
  const alice = world.addClient(options.alice)
  const bob = world.addClient(options.bob)
  world.wants(bob, mailbox)
  world.run(200)
  const [first] = bob.boxes
  if (first === undefined) throw new Error('bob has no box')
  const { address } = first
  world.handle(bob, { type: 'supply', box: address.box, supply: supplyOf(address.box, tokensCount) })
  world.run(100)
  return { world, mailbox, double, alice, bob, to: address }
}

/** Leaves messages with numbered tokens, their ids the same numbers. */
export function deposit(at: Correspondence, numbers: readonly number[], size = 300): void {
  for (const number of numbers) {
    const bytes = message(size, number % 251)
    const { to } = at
    at.world.handle(at.alice, { type: 'deposit', id: number, to, token: token(to.box, number), bytes })
  }
}

export function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}
