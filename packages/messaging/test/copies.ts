import { Home, openMemoryStore, type Party, type Town } from './fixture.ts'

/** The home as its disk is now; `life` tells its random numbers from those of other copies, `party` its keys. */
export function copyOf(home: Home, life: number, party: Party = home.party): Home {
  const store = openMemoryStore()
  const tables = home.store
    .all("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'search%'")
    .map((row) => String(row['name']))
  store.transaction(() => {
    for (const table of tables) {
      store.run(`DELETE FROM ${table}`)
      for (const row of home.store.all(`SELECT * FROM ${table}`)) {
        const columns = Object.keys(row)
        const places = columns.map(() => '?').join(', ')
        store.run(
          `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})`,
          columns.map((name) => row[name] ?? null),
        )
      }
    }
    store.run('INSERT INTO search (rowid, text) SELECT position, text FROM messages')
  })
  return new Home(party, home.clock, { store, limits: home.limits, life })
}

/** Another copy of the same home runs from now on. */
export function swap(town: Town, from: Home, to: Home): void {
  town.homes.splice(town.homes.indexOf(from), 1, to)
}
