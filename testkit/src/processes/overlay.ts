import type { MiaouClient, OverlayInfo } from '@miaou/sdk'
import { until } from './until.ts'

/** Waits until each of these peers has every other one in its routing table. Strangers of the machine may be in it too. */
export async function overlayJoined(...clients: readonly MiaouClient[]): Promise<readonly OverlayInfo[]> {
  const infos = await Promise.all(clients.map((client) => client.overlay.info()))
  for (const [index, client] of clients.entries()) {
    const wanted = infos.filter((_, other) => other !== index).map(({ nodeId }) => nodeId)
    await until('the nodes to know each other', async () => {
      const known = new Set((await client.overlay.contacts(1_000)).map(({ nodeId }) => nodeId))
      return wanted.every((nodeId) => known.has(nodeId)) ? true : undefined
    })
  }
  return infos
}
