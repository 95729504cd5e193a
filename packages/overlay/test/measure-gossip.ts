// Broadcast in simulated networks, one line a phase: `node packages/overlay/test/measure-gossip.ts --nodes 2000 --seed 1`.
// copies: data messages received for each delivery (sent: those sent, also to the dead); ratio: time to the last node,
// in times of flooding the same links, mean and worst; control: other messages sent for each delivery.
import { parseArgs } from 'node:util'
import type { GossipOptions } from '../src/gossip/gossip-options.ts'
import { type Broadcast, broadcast, killShare, settledNetwork } from './gossip-broadcast.ts'

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    degree: { type: 'string', default: '8' },
    messages: { type: 'string', default: '30' },
    gap: { type: 'string', default: '200' },
    dead: { type: 'string', default: '0.2' },
    options: { type: 'string', default: '{}' },
  },
})
const messages = Number(flags.messages)
const gapMs = Number(flags.gap)
const engine = JSON.parse(flags.options) as Partial<GossipOptions>
const network = settledNetwork({ size: Number(flags.nodes), seed: Number(flags.seed), engine }, Number(flags.degree))

show('first', broadcast(network, 'first', 1))
show('second to 20th', broadcast(network, 'young', 19, gapMs))
show('settled', broadcast(network, 'settled', messages, gapMs))
const one = network.nodes.slice(0, 1)
broadcast(network, 'turning', 20, gapMs, one)
show('one publisher', broadcast(network, 'one', messages, gapMs, one))
killShare(network, Number(flags.dead), 40_000)
show('first after deaths', broadcast(network, 'after', 1))
show('2nd to 10th after', broadcast(network, 'second', 9, gapMs))
show('unnoticed, settled', broadcast(network, 'unnoticed', messages, gapMs))
network.run(40_000)
broadcast(network, 'healing', 20, gapMs)
show('noticed, settled', broadcast(network, 'healed', messages, gapMs))

function show(phase: string, { least, copies, sent, control, ratio, worst, lastMs }: Broadcast): void {
  const { user, system } = process.cpuUsage()
  const cells = { least, copies, sent, control, ratio, worst, lastMs: Math.round(lastMs) }
  const text = Object.entries(cells).map(([name, value]) => `${name} ${Number(value.toFixed(3))}`)
  console.log(`${phase.padEnd(20)} ${text.join('  ')}  cpu ${((user + system) / 1e6).toFixed(1)} s`)
}
