/**
 * What one owner of a leg leaves to the next of what it was saying. Plain data: it crosses threads.
 *
 * ```
 *   marks    e       s           m1      m2
 *   audio ───┴───────┴──────┬────┴───────┴──╌╌╌
 *     heard    at the carrier    `audio`      beyond the last mark: dropped, it is said again
 * ```
 */
export interface PlayoutRest {
  /** Not sent yet; up to the last mark in it, so that it ends where a word does. */
  readonly audio: Uint8Array;
  /** The marks in it, in order. */
  readonly marks: readonly { readonly id: number; readonly atBytes: number }[];
  /** The cue of the reply that the carrier has most lately been sent something of; null when this owner sent none. */
  readonly cue: number | null;
  /** The last mark that was sent since the carrier's queue was last cleared; null when none was. */
  readonly sentMark: number | null;
  /** Of those sent, the last that came back; null when none did. */
  readonly echoedMark: number | null;
  /** Something that was sent has not been confirmed, or waits in `audio`: the carrier is in the middle of it. */
  readonly isOut: boolean;
  /** The last thing the carrier was told is to forget what it had. */
  readonly wasCut: boolean;
  /** The owner had stopped it, for the caller made a sound. */
  readonly wasPaused: boolean;
}
