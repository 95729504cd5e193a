import type { RandomStream } from './random-stream.ts'

/**
 * A distribution as its quantiles at equal steps, straight lines between them. Tables in the source instead of
 * `Math.log` and `Math.pow`, whose last bits differ between machines.
 */
export interface Distribution {
  /** Quantiles at 0, 1/n, 2/n … 1, rising. */
  readonly quantiles: readonly number[]
}

export function draw(distribution: Distribution, random: RandomStream): number {
  return quantile(distribution, random.fraction())
}

/** `share`: [0, 1). */
export function quantile({ quantiles }: Distribution, share: number): number {
  const place = share * (quantiles.length - 1)
  const below = Math.floor(place)
  const from = quantiles[below] ?? 0
  const to = quantiles[below + 1] ?? from
  return from + (to - from) * (place - below)
}

/**
 * Session lengths in units of their median: Weibull (M. Steiner, T. En-Najjary, E. Biersack, "Long term study of peer
 * behavior in the KAD DHT", IEEE/ACM ToN 17(5), 2009, find the sessions of a large Kademlia so distributed), shape 0.5
 * (own choice: many short, few very long), that is (log2(1 / (1 − u)))²; the last quantile at u = 0.999.
 */
export const sessionLengths: Distribution = {
  quantiles: [
    0, 0.0021, 0.00867, 0.02017, 0.03711, 0.06008, 0.08974, 0.12684, 0.17226, 0.22699, 0.29221, 0.36928, 0.45978,
    0.56561, 0.68902, 0.83272, 1, 1.1949, 1.4224, 1.6889, 2.0023, 2.3734, 2.8159, 3.3492, 4, 4.8077, 5.8324, 7.1721, 9,
    11.662, 16, 25, 99.317,
  ],
}

/** Delay added to a datagram by queues, in units of its propagation delay; a guess: mostly little, rarely as much again. */
export const queueing: Distribution = {
  quantiles: [0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.036, 0.043, 0.05, 0.06, 0.072, 0.09, 0.12, 0.17, 0.3, 1],
}
