import { bytesToHex, type Now } from '@miaou/core'
import type { BoxAddress } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import type { MailboxesInput, MailboxesOutput } from '../src/mailbox/interface.ts'
import { Mailboxes } from '../src/mailbox/mailboxes.ts'
import { crypto, SeededRandom } from './identities.ts'
import { addDouble, addService, range, supplyOf, token } from './mailboxes-steps.ts'
import { MailboxesWorld, testBoxPseudonym, type WorldClient, type WorldMailbox } from './mailboxes-world.ts'

const ownSeed = 77
const tokensCount = 400
const stepsCount = 120
const minute = 60_000

/** A fault that the checkers must find: what was handed on is acknowledged before anybody asks for it. */
class EagerMailboxes extends Mailboxes {
  override handle(now: Now, input: MailboxesInput): MailboxesOutput[] {
    const outputs = super.handle(now, input)
    return outputs.flatMap((output) => {
      if (output.type !== 'fetched') return [output]
      const ids = output.envelopes.map(({ id }) => id)
      return [output, ...super.handle(now, { type: 'acknowledge', box: output.box, ids })]
    })
  }
}

/** Another one: now and then an answer to a deposit is lost. */
class ForgetfulMailboxes extends Mailboxes {
  #count = 0

  override handle(now: Now, input: MailboxesInput): MailboxesOutput[] {
    return super.handle(now, input).filter((output) => {
      this.#count += output.type === 'deposited' ? 1 : 0
      return output.type !== 'deposited' || this.#count % 10 !== 0
    })
  }
}

interface Faults {
  readonly reader?: typeof Mailboxes
  readonly writer?: typeof Mailboxes
}

interface SimulatedMailbox {
  readonly mailbox: WorldMailbox
  /** The process ends and starts again; what was on its disk is there. */
  restart(): void
  /** At the end. `asked`: `box:id` of what the owner asked to acknowledge. */
  problems(asked: ReadonlySet<string>): string[]
}

/** A double, which looks at every acknowledgement. */
function simulateDouble(world: MailboxesWorld, seed: number): SimulatedMailbox {
  const { mailbox, double } = addDouble(world, seed)
  return {
    mailbox,
    restart: () => double.forgetClients(),
    problems: (asked) => {
      const problems: string[] = []
      if (double.wrongAcknowledgements > 0) problems.push('acknowledged what was not handed on')
      for (const [key, box] of double.boxes) {
        if (box.envelopes.length > 0) problems.push(`${box.envelopes.length} envelopes were never acknowledged`)
        const said = double.heard.flatMap((message) => (message.type === 'acknowledge' ? message.ids : []))
        for (const id of said) if (!asked.has(`${key}:${id}`)) problems.push(`nobody asked to acknowledge ${id}`)
      }
      return problems
    },
  }
}

/** The real service over a queue in memory. */
function simulateService(world: MailboxesWorld, seed: number): SimulatedMailbox {
  const served = addService(world, seed)
  return {
    mailbox: served.mailbox,
    restart: () => served.restart(),
    problems: () => {
      const { envelopes } = served.queue.totals()
      const counters = served.service.counters()
      const problems = envelopes > 0 ? [`${envelopes} envelopes were never acknowledged`] : []
      if ((counters['bad-signatures'] ?? 0) > 0) problems.push('a signature was refused')
      return problems
    },
  }
}

/** Bob keeps boxes at two mailboxes, alice leaves messages there; links are lost, processes end, mailboxes go away. */
class Simulation {
  readonly world: MailboxesWorld
  readonly random: SeededRandom
  readonly mailboxes: readonly SimulatedMailbox[]
  readonly bob: WorldClient
  readonly alice: WorldClient
  readonly problems: string[] = []
  readonly #faults: Faults
  /** What bob has on his disk. */
  readonly #stored = new Set<string>()
  /** `box:id` that bob asked to acknowledge. */
  readonly #asked = new Set<string>()
  readonly #addresses = new Map<string, BoxAddress>()
  /** Bytes of the deposits that were accepted. */
  readonly #accepted = new Set<string>()
  readonly #sent = new Map<number, string>()
  #openIds = new Set<number>()
  #answersSeen = 0
  #fetchedSeen = 0
  #nextToken = 0
  #nextId = 0
  #starts = 0

  constructor(seed: number, simulate: typeof simulateDouble, faults: Faults) {
    this.world = new MailboxesWorld(seed)
    this.random = new SeededRandom(seed * 101 + 3)
    this.#faults = faults
    this.mailboxes = [simulate(this.world, 3_500), simulate(this.world, 3_501)]
    this.bob = this.world.addClient({}, ownSeed)
    this.alice = this.world.addClient({}, 78)
    this.#startBob()
    this.#startAlice()
    this.world.run(300)
    for (const { address } of this.bob.boxes) {
      this.#addresses.set(bytesToHex(address.box), address)
      this.world.handle(this.bob, {
        type: 'supply',
        box: address.box,
        supply: supplyOf(address.box, tokensCount),
      })
    }
    this.world.run(300)
  }

  run(): readonly string[] {
    for (let step = 0; step < stepsCount; step++) {
      this.#step()
      for (const { mailbox } of this.mailboxes) if (this.random.chance(0.1)) this.#wakeUp(mailbox)
      this.world.run(this.random.below(this.random.chance(0.1) ? 20_000 : this.random.chance(0.5) ? 30 : 200))
      this.#look()
    }
    for (const { mailbox } of this.mailboxes) this.#wakeUp(mailbox)
    this.alice.hasRelay = true
    this.world.handle(this.bob, { type: 'network-changed' })
    for (let round = 0; round < 30; round++) {
      this.world.run(minute / 3)
      this.#look()
      this.#store()
    }
    this.#check()
    return this.problems
  }

  #step(): void {
    const { world, random, alice, bob } = this
    const mailbox = this.mailboxes[random.below(2)]?.mailbox
    const roll = random.below(100)
    if (roll < 55) for (const _ of range(0, 1 + random.below(4))) this.#deposit()
    else if (roll < 70) this.#store()
    else if (roll < 76) world.cut(random.chance(0.5) ? mailbox : undefined)
    else if (roll < 80) this.#startBob()
    else if (roll < 83) this.#startAlice()
    else if (roll < 86) world.handle(random.chance(0.5) ? bob : alice, { type: 'network-changed' })
    else if (roll < 88) {
      world.moveAddress(bob)
      if (random.chance(0.5)) world.handle(bob, { type: 'network-changed' })
    } else if (roll < 90) alice.hasRelay = !alice.hasRelay
    else if (mailbox !== undefined && roll < 95) {
      mailbox.isDown = true
      world.cut(mailbox)
    } else if (mailbox !== undefined) mailbox.isSilent = true
  }

  /** It answers again; what was under way in the meantime is lost, and the connections with it. */
  #wakeUp(mailbox: WorldMailbox): void {
    if (mailbox.isSilent) this.world.cut(mailbox)
    if (mailbox.isDown) this.mailboxes.find((one) => one.mailbox === mailbox)?.restart()
    mailbox.isSilent = false
    mailbox.isDown = false
  }

  #deposit(): void {
    const address = [...this.#addresses.values()][this.random.below(2)]
    if (address === undefined || this.#nextToken >= tokensCount) return
    const [id, number] = [this.#nextId++, this.#nextToken++]
    const bytes = this.random.bytes(40 + this.random.below(60))
    this.#sent.set(id, bytesToHex(bytes))
    this.#openIds.add(id)
    const paid = token(address.box, number)
    this.world.handle(this.alice, { type: 'deposit', id, to: address, token: paid, bytes })
  }

  /** What alice and bob were told since they looked last. */
  #look(): void {
    const answers = [...this.alice.deposited].flatMap(([id, results]) => results.map((result) => ({ id, result })))
    if (answers.length === this.#answersSeen) return
    this.#answersSeen = answers.length
    for (const [id, results] of this.alice.deposited) {
      if (results.length > 1) this.problems.push(`deposit ${id} has ${results.length} answers`)
      this.#openIds.delete(id)
      if (results[0]?.ok) this.#accepted.add(this.#sent.get(id) ?? '')
    }
  }

  /** Bob's disk takes what came, then he says so. */
  #store(): void {
    const news = this.bob.fetched.slice(this.#fetchedSeen)
    this.#fetchedSeen = this.bob.fetched.length
    for (const { box, envelope } of news) {
      this.#stored.add(bytesToHex(envelope.bytes))
      this.#asked.add(`${bytesToHex(box)}:${envelope.id}`)
      this.world.handle(this.bob, { type: 'acknowledge', box, ids: [envelope.id] })
    }
  }

  /** What came and is not on the disk is forgotten. */
  #startBob(): void {
    const { world, bob } = this
    this.#fetchedSeen = bob.fetched.length
    world.restart(bob, this.#engine(this.#faults.reader ?? Mailboxes, ownSeed))
    world.handle(bob, { type: 'start', mark: { counter: ++this.#starts, nonce: new Uint8Array(16) } })
    const kept = this.mailboxes.map(({ mailbox }) => ({ mailbox: mailbox.address, isKept: this.#starts > 1 }))
    world.handle(bob, { type: 'mailboxes', mailboxes: kept })
  }

  /** Whom she asked gives no answer any more. */
  #startAlice(): void {
    this.#look()
    this.#openIds = new Set()
    this.world.restart(this.alice, this.#engine(this.#faults.writer ?? Mailboxes, 78))
  }

  #engine(Engine: typeof Mailboxes, seed: number): Mailboxes {
    const random = new SeededRandom(this.random.below(2 ** 30))
    const options = {
      crypto,
      random,
      jitter: random,
      pseudonymFor: (mailboxId: Uint8Array) => testBoxPseudonym(seed * 256 + (mailboxId[0] ?? 0)),
      freshPseudonym: () => testBoxPseudonym(random.below(2 ** 40)),
      directDeposits: true,
    }
    return new Engine(options, () => this.world.takePipe())
  }

  #check(): void {
    const { problems } = this
    for (const id of this.#openIds) problems.push(`deposit ${id} has no answer`)
    if (this.bob.stale.length > 0) problems.push('a start was taken for a copy')
    for (const bytes of this.#accepted) if (!this.#stored.has(bytes)) problems.push(`lost: ${bytes.slice(0, 8)}`)
    for (const mailbox of this.mailboxes) problems.push(...mailbox.problems(this.#asked))
    for (const { engine } of [this.alice, this.bob]) {
      const { jobs, queuedBytes, endedPipes, links } = engine.sizes()
      const ownLinks = engine === this.bob.engine ? 2 : 0
      if (jobs > 0 || queuedBytes > 0 || endedPipes > 0 || links > ownLinks) problems.push('something is left over')
    }
    if (this.#accepted.size === 0) problems.push('nothing happened')
  }
}

function problemsOf(seed: number, simulate: typeof simulateDouble, faults: Faults = {}): readonly string[] {
  return new Simulation(seed, simulate, faults).run()
}

describe('links are lost, processes end, mailboxes go away', () => {
  test.each(range(1, 20))(
    '[MB64] [MB65] [MB73] seed %i: one answer a job, none lost, none acknowledged unasked',
    (seed) => {
      expect(problemsOf(seed, simulateDouble)).toEqual([])
    },
  )

  test.each(range(101, 12))('[MB64] [MB73] seed %i, at the real service: one answer a job, none lost', (seed) => {
    expect(problemsOf(seed, simulateService)).toEqual([])
  })

  /** Whether one of the seeds finds it. */
  const isFound = (faults: Faults, problem: RegExp): boolean =>
    range(1, 20).some((seed) => problemsOf(seed, simulateDouble, faults).some((found) => problem.test(found)))

  test('a client that acknowledges early is found', () => {
    expect(isFound({ reader: EagerMailboxes }, /^nobody asked/)).toBe(true)
    expect(isFound({ reader: EagerMailboxes }, /^lost/)).toBe(true)
  })

  test('a client that loses answers is found', () => {
    expect(isFound({ writer: ForgetfulMailboxes }, /has no answer$/)).toBe(true)
  })
})
