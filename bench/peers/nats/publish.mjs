/**
 * Publishers of `bench:mailbox`, in one process: each on a connection of its own, its acknowledgements awaited behind a
 * window. Arguments: the server's URL. Told and heard over IPC, as bench/src/mailbox/depositors-process.ts.
 */
import { randomBytes } from 'node:crypto'
import { connect, RetentionPolicy, StorageType } from 'nats'

const servers = process.argv[2]
const connections = []
let run = () => undefined

process.on('message', async (message) => {
  if (message.type === 'prepare') {
    const { count, size, links, window } = message
    while (connections.length < links) connections.push(await connect({ servers }))
    const [first] = connections
    const manager = await first.jetstreamManager()
    await manager.streams.delete('boxes').catch(() => false)
    await manager.streams.add({
      name: 'boxes',
      subjects: ['box.*'],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      num_replicas: 1,
    })
    const payload = randomBytes(size)
    run = () => {
      let next = 0
      let accepted = 0
      let refused = 0
      const startedAt = performance.now()
      for (const [at, connection] of connections.entries()) {
        const stream = connection.jetstream({ timeout: 60_000 })
        const give = () => {
          if (next >= count) return
          next += 1
          stream.publish(`box.${at}`, payload).then(
            () => settled(true, give),
            () => settled(false, give),
          )
        }
        for (let given = 0; given < window; given++) give()
      }
      const settled = (isAccepted, give) => {
        if (isAccepted) accepted += 1
        else refused += 1
        if (accepted + refused < count) give()
        else process.send({ type: 'done', ms: performance.now() - startedAt, accepted, refused })
      }
    }
    process.send({ type: 'ready' })
  } else if (message.type === 'go') run()
  else {
    for (const connection of connections) await connection.close()
    process.disconnect()
  }
})
