import type { Result } from '@miaou/core'
import { type Store, StoreFailure } from '@miaou/messaging'
import { afterEach, describe, expect, test } from 'vitest'

export interface StoreContractOptions {
  /** Which database: the same name opened again is the same file. */
  readonly name: string
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly pageCountMax?: number
}

/** What an adapter of the port `Store` gives to be tested. */
export interface StoreHarness {
  open(options: StoreContractOptions): Result<Store, { readonly type: string }>
  /** Every byte kept for `name` outside memory: the database, its log and whatever lies beside. */
  bytesAtRest(name: string): Uint8Array
  /** Overwrites bytes in the middle of the database file, as a failing disk would. */
  damage(name: string): void
  /** Ends the harness: closes and removes everything. */
  dispose(): void
}

const key = new Uint8Array(32).fill(7)
const otherKey = new Uint8Array(32).fill(8)

function contains(haystack: Uint8Array, text: string): boolean {
  return Buffer.from(haystack).includes(text)
}

/** What every adapter of `Store` must do; `start` is called for each test. */
export function describeStoreContract(adapter: string, start: () => StoreHarness): void {
  describe(`store contract: ${adapter}`, () => {
    const harnesses: StoreHarness[] = []
    const stores: Store[] = []

    afterEach(() => {
      for (const store of stores.splice(0)) store.close()
      for (const harness of harnesses.splice(0)) harness.dispose()
    })

    function setUp(): StoreHarness {
      const harness = start()
      harnesses.push(harness)
      return harness
    }

    function open(harness: StoreHarness, options: Partial<StoreContractOptions> = {}): Store {
      const opened = harness.open({ name: 'a', key, ...options })
      if (!opened.ok) throw new Error(`the store did not open: ${opened.error.type}`)
      stores.push(opened.value)
      return opened.value
    }

    function withTable(harness: StoreHarness, options: Partial<StoreContractOptions> = {}): Store {
      const store = open(harness, options)
      store.script('CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, body TEXT, raw BLOB, n REAL) STRICT')
      return store
    }

    function kindOf(body: () => unknown): string {
      try {
        body()
      } catch (thrown) {
        return thrown instanceof StoreFailure ? thrown.kind : `not a StoreFailure: ${thrown}`
      }
      return 'nothing thrown'
    }

    describe('values', () => {
      test('text, numbers, blobs and null come back as they went in', () => {
        const store = withTable(setUp())
        const raw = Uint8Array.of(0, 1, 255)
        const { changes, lastInsertRowid } = store.run('INSERT INTO note (body, raw, n) VALUES (?, ?, ?)', [
          'é\u{1F431}',
          raw,
          1.5,
        ])
        expect({ changes, lastInsertRowid }).toEqual({ changes: 1, lastInsertRowid: 1 })
        const row = store.get('SELECT body, raw, n, NULL AS absent FROM note')
        expect(row).toEqual({ body: 'é\u{1F431}', raw, n: 1.5, absent: null })
        expect(Object.getPrototypeOf(row?.['raw'])).toBe(Uint8Array.prototype)
      })

      test('integers come back as numbers up to 2^53 - 1', () => {
        const store = withTable(setUp())
        store.run('INSERT INTO note (id) VALUES (?)', [Number.MAX_SAFE_INTEGER])
        expect(store.get('SELECT id FROM note')).toEqual({ id: Number.MAX_SAFE_INTEGER })
      })

      test('get gives undefined and all gives an empty list where no row matches', () => {
        const store = withTable(setUp())
        expect(store.get('SELECT * FROM note WHERE id = ?', [1])).toBeUndefined()
        expect(store.all('SELECT * FROM note')).toEqual([])
      })

      test('all keeps the order asked for', () => {
        const store = withTable(setUp())
        for (const body of ['b', 'c', 'a']) store.run('INSERT INTO note (body) VALUES (?)', [body])
        expect(store.all('SELECT body FROM note ORDER BY body').map((row) => row['body'])).toEqual(['a', 'b', 'c'])
      })

      test('run tells how many rows changed', () => {
        const store = withTable(setUp())
        for (const body of ['b', 'c']) store.run('INSERT INTO note (body) VALUES (?)', [body])
        expect(store.run('UPDATE note SET n = 1').changes).toBe(2)
        expect(store.run('DELETE FROM note WHERE body = ?', ['z']).changes).toBe(0)
      })

      test('a statement sees a table changed after it was prepared', () => {
        const store = withTable(setUp())
        store.all('SELECT * FROM note')
        store.script('ALTER TABLE note ADD COLUMN later TEXT')
        store.run('INSERT INTO note (later) VALUES (?)', ['x'])
        expect(store.get('SELECT * FROM note')).toEqual({ id: 1, body: null, raw: null, n: null, later: 'x' })
      })

      test('hundreds of different statements work, early ones again too', () => {
        const store = withTable(setUp())
        for (let round = 0; round < 2; round++) {
          for (let index = 0; index < 600; index++) expect(store.get(`SELECT ${index} AS n`)).toEqual({ n: index })
        }
      })
    })

    describe('transactions', () => {
      test('a transaction gives the value of its body and keeps its rows', () => {
        const store = withTable(setUp())
        const id = store.transaction(() => store.run('INSERT INTO note (body) VALUES (?)', ['kept']).lastInsertRowid)
        expect(id).toBe(1)
        expect(store.all('SELECT body FROM note')).toEqual([{ body: 'kept' }])
      })

      test('a throw inside rolls back everything, scripts too, and is thrown on', () => {
        const store = withTable(setUp())
        const reason = new Error('changed my mind')
        expect(() =>
          store.transaction(() => {
            store.run('INSERT INTO note (body) VALUES (?)', ['gone'])
            store.script('CREATE TABLE gone (id INTEGER)')
            throw reason
          }),
        ).toThrow(reason)
        expect(store.all('SELECT * FROM note')).toEqual([])
        expect(store.get("SELECT name FROM sqlite_master WHERE name = 'gone'")).toBeUndefined()
        store.transaction(() => store.run('INSERT INTO note (body) VALUES (?)', ['next']))
        expect(store.all('SELECT body FROM note')).toEqual([{ body: 'next' }])
      })

      test('a transaction in a transaction is our own bug', () => {
        const store = withTable(setUp())
        expect(() => store.transaction(() => store.transaction(() => 1))).toThrow('do not nest')
        expect(store.transaction(() => 2)).toBe(2)
      })

      test('a broken rule of the schema is a failure of kind constraint and rolls back', () => {
        const store = withTable(setUp())
        const kind = kindOf(() =>
          store.transaction(() => {
            store.run('INSERT INTO note (id) VALUES (5)')
            store.run('INSERT INTO note (id) VALUES (5)')
          }),
        )
        expect(kind).toBe('constraint')
        expect(store.all('SELECT * FROM note')).toEqual([])
      })

      test('foreign keys are held', () => {
        const store = withTable(setUp())
        store.script('CREATE TABLE mark (note INTEGER NOT NULL REFERENCES note (id) ON DELETE CASCADE)')
        expect(kindOf(() => store.run('INSERT INTO mark (note) VALUES (1)'))).toBe('constraint')
        store.run('INSERT INTO note (id) VALUES (1)')
        store.run('INSERT INTO mark (note) VALUES (1)')
        store.run('DELETE FROM note')
        expect(store.all('SELECT * FROM mark')).toEqual([])
      })
    })

    describe('opened again', () => {
      test('rows are there after close and open', () => {
        const harness = setUp()
        const first = withTable(harness)
        first.run('INSERT INTO note (body) VALUES (?)', ['kept'])
        first.close()
        first.close()
        expect(open(harness).all('SELECT body FROM note')).toEqual([{ body: 'kept' }])
      })

      test('another key is told apart from a damaged file', () => {
        const harness = setUp()
        const store = withTable(harness)
        for (let index = 0; index < 200; index++) store.run('INSERT INTO note (body) VALUES (?)', ['x'.repeat(500)])
        store.close()
        const wrong = harness.open({ name: 'a', key: otherKey })
        expect(wrong.ok ? 'opened' : wrong.error.type).toBe('wrong-key')
        expect(open(harness).get('SELECT count(*) AS n FROM note')).toEqual({ n: 200 })
      })

      test('a damaged file is told when opened or read, as kind damaged', () => {
        const harness = setUp()
        const store = withTable(harness)
        for (let index = 0; index < 200; index++) store.run('INSERT INTO note (body) VALUES (?)', ['x'.repeat(500)])
        store.close()
        harness.damage('a')
        const opened = harness.open({ name: 'a', key })
        if (!opened.ok) {
          expect(opened.error.type).toBe('damaged')
          return
        }
        stores.push(opened.value)
        expect(kindOf(() => opened.value.all('SELECT * FROM note'))).toBe('damaged')
      })

      test('a second opening while the first is open is refused', () => {
        const harness = setUp()
        withTable(harness)
        const second = harness.open({ name: 'a', key })
        expect(second.ok ? 'opened' : second.error.type).toBe('in-use')
      })
    })

    describe('a full database', () => {
      const body = 'y'.repeat(3000)

      function fill(store: Store): { accepted: number; kind: string } {
        let accepted = 0
        for (;;) {
          const kind = kindOf(() => store.transaction(() => store.run('INSERT INTO note (body) VALUES (?)', [body])))
          if (kind !== 'nothing thrown') return { accepted, kind }
          accepted++
        }
      }

      test('max_page_count: refused with kind full, what was accepted stays, and room made is used', () => {
        const harness = setUp()
        const store = withTable(harness, { pageCountMax: 50 })
        const { accepted, kind } = fill(store)
        expect(kind).toBe('full')
        expect(accepted).toBeGreaterThan(10)
        expect(store.get('SELECT count(*) AS n FROM note')).toEqual({ n: accepted })
        store.run('DELETE FROM note WHERE id <= 5')
        store.transaction(() => store.run('INSERT INTO note (body) VALUES (?)', [body]))
        store.close()
        expect(open(harness).get('SELECT count(*) AS n FROM note WHERE length(body) = 3000')).toEqual({
          n: accepted - 4,
        })
      })

      test('a body that swallows the failure writes nothing outside its transaction', () => {
        const store = withTable(setUp(), { pageCountMax: 50 })
        const { accepted } = fill(store)
        const kind = kindOf(() =>
          store.transaction(() => {
            store.run('UPDATE note SET n = 1')
            kindOf(() => store.run('INSERT INTO note (body) VALUES (?)', ['z'.repeat(1_000_000)]))
            store.run('DELETE FROM note WHERE id = 1')
            throw new StoreFailure('full', 'the caller gives up')
          }),
        )
        expect(['full', 'io']).toContain(kind)
        expect(store.get('SELECT count(*) AS n, count(n) AS marked FROM note')).toEqual({ n: accepted, marked: 0 })
      })
    })

    describe('at rest', () => {
      test('the text of a message is in no file, open, closed or deleted', () => {
        const harness = setUp()
        const secret = 'meet me at the old mill'
        const store = withTable(harness)
        store.script(`CREATE VIRTUAL TABLE words USING fts5(body)`)
        store.script(`INSERT INTO words (words, rank) VALUES ('secure-delete', 1)`)
        for (let index = 0; index < 50; index++) {
          store.transaction(() => {
            store.run('INSERT INTO note (body, raw) VALUES (?, ?)', [secret, Buffer.from(secret)])
            store.run('INSERT INTO words (body) VALUES (?)', [secret])
          })
        }
        expect(harness.bytesAtRest('a').length).toBeGreaterThan(4096)
        expect(contains(harness.bytesAtRest('a'), 'old mill')).toBe(false)
        store.close()
        expect(contains(harness.bytesAtRest('a'), 'old mill')).toBe(false)
        expect(contains(harness.bytesAtRest('a'), 'SQLite format')).toBe(false)
      })

      test('deleted content is overwritten: secure_delete is on', () => {
        expect(open(setUp()).get('PRAGMA secure_delete')).toEqual({ secure_delete: 1 })
      })

      test('a commit is durable when it returns: synchronous is FULL', () => {
        expect(open(setUp()).get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
      })
    })

    describe('full-text search', () => {
      test('finds words, forgets deleted rows, and takes the secure-delete option', () => {
        const store = withTable(setUp())
        store.script(`CREATE VIRTUAL TABLE words USING fts5(body, tokenize = "unicode61 remove_diacritics 2")`)
        store.run(`INSERT INTO words (words, rank) VALUES ('secure-delete', 1)`)
        for (const body of ['Déjeuner à midi', 'le chat dort', 'un chat noir']) {
          store.run('INSERT INTO words (body) VALUES (?)', [body])
        }
        const find = (text: string): unknown[] =>
          store.all('SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid', [text]).map((row) => row['rowid'])
        expect(find('chat')).toEqual([2, 3])
        expect(find('dejeuner')).toEqual([1])
        store.run('DELETE FROM words WHERE rowid = 2')
        expect(find('chat')).toEqual([3])
        expect(store.get(`SELECT v FROM words_config WHERE k = 'secure-delete'`)).toEqual({ v: 1 })
      })
    })

    test('wrong SQL is a failure of kind constraint, our own bug', () => {
      expect(kindOf(() => open(setUp()).run('INSERT INTO nowhere VALUES (1)'))).toBe('constraint')
    })
  })
}
