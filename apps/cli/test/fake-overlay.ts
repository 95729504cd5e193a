import { createHash } from 'node:crypto'
import { bytesToHex, bytesToNodeId, concatBytes, err, ok } from '@miaou/core'
import type { OverlayFound, OverlayHandle, OverlayInfo, OverlayPut } from '@miaou/host-node'

type StoredRecord = OverlayFound['record']

const cost = { requests: 3, timeouts: 0, hops: 1, ms: 2.5 }
const endpoint = { host: '127.0.0.1', port: 41_234 }

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(
    createHash('sha256')
      .update(concatBytes(...parts))
      .digest(),
  )
}

/** What all nodes of a test store together. */
export type FakeRecords = Map<string, StoredRecord>

/** An overlay of one map: what the API and the commands need of it. Nothing is signed: that is tested where it is done. */
export class FakeOverlay implements OverlayHandle {
  readonly #deviceKey: Uint8Array
  readonly #publicKey: Uint8Array
  readonly #records: FakeRecords
  /** Laid over what `info` tells. */
  changes: Partial<OverlayInfo> = {}

  constructor(deviceKey: Uint8Array, records: FakeRecords) {
    this.#deviceKey = deviceKey
    this.#publicKey = sha256(deviceKey)
    this.#records = records
  }

  info(): OverlayInfo {
    return {
      state: { type: 'running' },
      nodeId: bytesToNodeId(sha256(this.#publicKey)),
      publicKey: this.#publicKey,
      endpoints: [endpoint],
      observed: endpoint,
      mode: 'server',
      bootstrap: { type: 'bootstrapped' },
      contacts: 2,
      buckets: [{ bucket: 255, contacts: 2 }],
      networkSize: 3,
      records: { count: this.#records.size, bytes: 1_234 },
      ownRecords: 1,
      sessions: 2,
      counters: { 'bad-token': 1, silent: 0 },
      ...this.changes,
    }
  }

  contacts: OverlayHandle['contacts'] = (limit = 20) =>
    [{ nodeId: this.info().nodeId, publicKey: this.#publicKey, endpoint }].slice(0, limit)

  putValue: OverlayHandle['putValue'] = async (value) => {
    if (value.length === 0) return err({ type: 'empty-value' })
    if (value.length > 997) return err({ type: 'record-too-large', size: value.length + 3, sizeMax: 1_000 })
    return ok(this.#store(sha256(value), { type: 'value', value }))
  }

  putSigned: OverlayHandle['putSigned'] = async (salt, value) => {
    if (salt.length > 64) return err({ type: 'salt-too-long', size: salt.length, sizeMax: 64 })
    const key = sha256(this.#deviceKey, salt)
    const signed = { publicKey: this.#deviceKey, salt, sequence: 7, value, signature: new Uint8Array(64) }
    return ok({
      ...this.#store(key, { type: 'signed', ...signed }),
      publicKey: this.#deviceKey,
      sequence: 7,
      isKept: true,
    })
  }

  get: OverlayHandle['get'] = async (key) => {
    const record = this.#records.get(bytesToHex(key))
    return record === undefined ? err({ type: 'not-found', cost }) : ok({ record, size: 100, cost })
  }

  getSigned: OverlayHandle['getSigned'] = (publicKey, salt) => this.get(sha256(publicKey, salt))

  findNode: OverlayHandle['findNode'] = async () => ok({ contacts: this.contacts(), cost })

  ping: OverlayHandle['ping'] = async (_publicKey, { port }) =>
    port === endpoint.port ? ok({ ms: 1.25, observed: endpoint }) : err({ type: 'timeout' })

  punch: OverlayHandle['punch'] = async () => err({ type: 'punch-failed', reason: 'unknown-target' })

  /** What `rendezvous` tells. */
  servers: ReturnType<OverlayHandle['rendezvous']> = []

  rendezvous: OverlayHandle['rendezvous'] = () => this.servers

  addClients: OverlayHandle['addClients'] = () => undefined

  bootstrap: OverlayHandle['bootstrap'] = async (nodes) =>
    nodes.every(({ addresses: [address = ''] }) => address.endsWith(`:${endpoint.port}`))
      ? ok({ contacts: 2, cost })
      : err({ type: 'bootstrap-failed', asked: nodes.length })

  #store(key: Uint8Array, record: StoredRecord): OverlayPut {
    this.#records.set(bytesToHex(key), record)
    return { key, replicas: 2, size: 100, cost }
  }
}
