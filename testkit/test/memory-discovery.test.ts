import { beforeEach } from 'vitest'
import { describeDiscoveryContract } from '../src/contracts/discovery.ts'
import { MemoryLan } from '../src/memory-discovery.ts'

let lan = new MemoryLan()
let count = 0

beforeEach(() => {
  lan = new MemoryLan()
})

describeDiscoveryContract('memory', async () => lan.discovery(`host${++count}`))
