import { createNodeCrypto } from '../crypto/node-crypto.ts'

/** Whether 32 bytes are an Ed25519 key that may name somebody: canonical, on the curve, of the main subgroup. */
export async function isAdmissiblePublicKey(bytes: Uint8Array): Promise<boolean> {
  return bytes.length === 32 && (await createNodeCrypto()).ed25519IsAdmissible(bytes)
}
