/**
 * Which of the caller's audio that was read is given to the next owner of a leg, by its records' timestamps: what no
 * journal tells yet. In between our own voice may be in it, of which a new owner knows nothing.
 *
 * ```
 *   audio    ───┬────────┬──────────┬═══════════════┬──────────
 *             from     told       until           again
 *               └─ held ────────────┘  agent speaks └─ held ───
 * ```
 */
import { type AudioFormat, bytesPerMs } from "./format.js";
import { type HeldRecord, RecordKind } from "./records.js";

export interface UntoldAudio {
  /** Before `toldMs`, so that no word is begun in its middle; infinite when nothing is held. */
  readonly fromMs: number;
  /** Up to here, this included, the words are known: what is heard of it again is none of the next owner's. */
  readonly toldMs: number;
  /** The agent begins to be heard. */
  readonly untilMs: number;
  /** The caller is listened to again. */
  readonly againMs: number;
}

/** Of the audio that a new owner begins with. */
export interface AudioReplay {
  /** So much of it, from its beginning, is told already. */
  readonly toldMs: number;
  /** So much was heard before the agent began to speak. */
  readonly earlierMs: number;
}

/** Only what nobody has read. */
export const NOTHING_UNTOLD: UntoldAudio = {
  fromMs: Number.POSITIVE_INFINITY,
  toldMs: Number.POSITIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
  againMs: Number.POSITIVE_INFINITY,
};

export function isUntold({ fromMs, untilMs, againMs }: UntoldAudio, timestampMs: number): boolean {
  return (timestampMs > fromMs && timestampMs < untilMs) || timestampMs >= againMs;
}

export function replayOf(
  held: readonly HeldRecord[],
  { fromMs, toldMs, untilMs }: UntoldAudio,
  format: AudioFormat,
): AudioReplay {
  let toldBytes = 0;
  let earlierBytes = 0;
  for (const { kind, timestampMs, payload } of held) {
    if (kind !== RecordKind.audio || timestampMs <= fromMs) continue;
    if (timestampMs <= toldMs) toldBytes += payload.length;
    if (timestampMs < untilMs) earlierBytes += payload.length;
  }
  return { toldMs: toldBytes / bytesPerMs(format), earlierMs: earlierBytes / bytesPerMs(format) };
}
