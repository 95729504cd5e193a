import { closeSync, cpSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { MiaouError } from '@miaou/sdk'
import {
  befriend,
  canMount,
  Daemon,
  delivered,
  Household,
  history,
  inMountNamespace,
  linked,
  receivedTexts,
  until,
} from '@miaou/testkit/processes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// A really full disk under a whole daemon: its home is a file system of some megabytes in a mount namespace of its own.
const diskBytes = 8 * 1024 * 1024
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

/** Where the home of a process is seen from outside of its mount namespace. */
function seen(pid: number): string {
  return `/proc/${pid}/root${house.home('Alice')}`
}

/** Runs on a small disk that holds a copy of the home `Seed`, after `more` (sh) was run in it. */
function onSmallDisk(more = 'true'): readonly string[] {
  const home = house.home('Alice')
  return inMountNamespace(
    `mkdir -p '${home}' && mount -t tmpfs -o size=${diskBytes} none '${home}' && cp -a '${house.home('Seed')}/.' '${home}' && cd '${home}' && ${more}`,
  )
}

/** Fills the disk of a daemon to its last byte. */
function fill(pid: number): string {
  const ballast = join(seen(pid), 'ballast')
  const file = openSync(ballast, 'a')
  const block = new Uint8Array(4_096)
  try {
    for (;;) writeSync(file, block)
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  } finally {
    closeSync(file)
  }
  return ballast
}

async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'none'
  } catch (error) {
    if (error instanceof MiaouError) return error.code
    throw error
  }
}

describe.skipIf(!canMount())('a full disk', () => {
  test('nothing accepted is lost, what is refused says why, and with room it goes on', async () => {
    await house.run('Seed', ['id', '--no-passphrase', '--name', 'Alice'])
    const bob = await house.start('Bob')
    const alice = await house.start('Alice', [], { wrapper: onSmallDisk(), seenAt: seen })
    await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
    await linked(alice.client, bob.client)
    const accepted: string[] = []
    const send = async (text: string) => {
      const code = await refusal(alice.client.messages.send('Bob', text))
      if (code === 'none') accepted.push(text)
      return code
    }
    for (let i = 0; i < 10; i++) expect(await send(`before ${i}`)).toBe('none')
    await delivered(alice.client, 'Bob', 10)

    const ballast = fill(alice.pid)
    // What is left in allocated pages may take a few more; then the disk says no, and so does every call that stores.
    const refusals = new Set<string>()
    for (let i = 0; i < 40; i++) refusals.add(await send(`while full ${i} ${'x'.repeat(4_000)}`))
    refusals.delete('none')
    expect([...refusals]).toEqual(['disk-full'])
    expect(await refusal(alice.client.keys.generate('signing', 'late'))).not.toBe('none')
    // What a friend sends now cannot be kept: it is not confirmed, and stays in the outbox of the friend.
    const sent = await bob.client.messages.send('Alice', 'for a full disk')
    expect(alice.isRunning).toBe(true)
    // Reading goes on all the time.
    expect((await history(alice.client, 'Bob', 'out')).map(({ text }) => text)).toEqual(accepted)
    expect((await alice.client.identity.get()).name).toBe('Alice')

    rmSync(ballast)
    expect(await send('after')).toBe('none')
    await delivered(alice.client, 'Bob', accepted.length, 60_000)
    expect(await receivedTexts(bob.client, 'Alice')).toEqual(accepted)
    await until(
      'the message of the friend to arrive',
      async () => {
        const { state } = await bob.client.messages.get(sent.id)
        return state === 'delivered' || state === 'read' ? true : undefined
      },
      { withinMs: 60_000 },
    )
    expect(await receivedTexts(alice.client, 'Bob')).toEqual(['for a full disk'])

    // The same home opened anew holds exactly this.
    cpSync(seen(alice.pid), house.home('Copy'), {
      recursive: true,
      filter: (path) => !/\/(lock|api\.json|running\.json)$/.test(path),
    })
    expect(await alice.stop()).toBe(0)
    const again = await Daemon.start(house.home('Copy'))
    try {
      expect((await history(again.client, 'Bob', 'out')).map(({ text }) => text)).toEqual(accepted)
      expect((await again.client.network.diagnostics()).find(({ name }) => name === 'store')?.state).toBe('ok')
    } finally {
      await again.kill()
    }
  })

  test('a start on a full disk says so, and leaves the home as it was', async () => {
    await house.run('Seed', ['id', '--no-passphrase', '--name', 'Alice'])
    const wrapper = onSmallDisk('(dd if=/dev/zero of=ballast bs=4096 2>/dev/null || true)')
    for (const argv of [['up'], ['send', 'Bob', 'hello'], ['start']]) {
      const ran = await house.run('Alice', ['--json', ...argv], { wrapper })
      const { error } = JSON.parse(ran.stderr) as { error: { code: string; hint: string } }
      expect(error.code, `${argv.join(' ')}: ${ran.stderr}`).toBe('disk-full')
      expect(error.hint).toMatch(/room/)
      expect(ran.code).not.toBe(0)
    }
    expect((await house.run('Seed', ['id'])).code).toBe(0)
  })
})
