/** Where a daemon answers. */
export interface HttpTarget {
  /** Where the local API listens: `http://127.0.0.1:49152`. */
  readonly url: string
  /** Bearer token, from `api.json` in the home. */
  readonly token: string
}
