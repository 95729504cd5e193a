/** What one handshake message does, in order (Noise revision 34 §7.1). */
export type NoiseToken = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss'

/**
 * XX: nobody knows the other's static key (links). IK: the initiator knows the responder's and shows its own at once
 * (overlay). XK and NK: as IK, with the initiator's key shown last or never (held to the published vectors beside).
 */
export type NoisePatternName = 'XX' | 'IK' | 'XK' | 'NK'

export interface NoisePattern {
  /** The initiator knows the responder's static key before the first message. */
  readonly remoteStaticKnown: boolean
  /** The initiator has a static key. */
  readonly initiatorHasStatic: boolean
  /** The first message is the initiator's, then they alternate. */
  readonly messages: readonly (readonly NoiseToken[])[]
}

/** Noise revision 34 §7.5. */
export const noisePatterns: Readonly<Record<NoisePatternName, NoisePattern>> = {
  XX: {
    remoteStaticKnown: false,
    initiatorHasStatic: true,
    messages: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']],
  },
  IK: {
    remoteStaticKnown: true,
    initiatorHasStatic: true,
    messages: [
      ['e', 'es', 's', 'ss'],
      ['e', 'ee', 'se'],
    ],
  },
  XK: {
    remoteStaticKnown: true,
    initiatorHasStatic: true,
    messages: [
      ['e', 'es'],
      ['e', 'ee'],
      ['s', 'se'],
    ],
  },
  NK: {
    remoteStaticKnown: true,
    initiatorHasStatic: false,
    messages: [
      ['e', 'es'],
      ['e', 'ee'],
    ],
  },
}
