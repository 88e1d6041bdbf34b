/**
 * A reply that was being spoken when its actor went, as far as the leg still has it: what was heard, what the carrier
 * holds, and the audio that had not left. Whoever goes on says that audio first, and then the words after it, so that
 * the caller hears each word once. Pure.
 *
 * ```
 *   intended   We are open from eight until five, and closed on Sundays.
 *              └ heard ──┘└ queued ─┘└ audio ─────┘└ said anew ────────┘
 *   marks                e          s             m
 * ```
 */
import { type PlayoutRest, bytesPerMs, type AudioFormat } from "#runtime/media";
import { isOfTurn, isSinceCue, readMark } from "./reply-marks.js";
import { type OpenReply, wordsOf } from "./reply-progress.js";
import type { CachedSpeech } from "./voice-cache.js";

export interface CarriedSpeech {
  /** Words of the reply that are known to have been heard. */
  readonly heardCount: number;
  /** The words after them, as far as there is audio; empty text when there are none. */
  readonly speech: CachedSpeech;
  /** Of these the first, which the carrier has already: no audio of them is in `speech`. */
  readonly queuedCount: number;
}

/** What the leg tells of the reply that the journal left open. */
export type Carried =
  /** The leg is a new one, or in the midst of something that the journal does not know. */
  | { readonly kind: "unknown"; readonly isOut: boolean }
  /** The caller had cut it, and nobody has written so. */
  | { readonly kind: "cut" }
  | ({ readonly kind: "goesOn" } & CarriedSpeech);

export function carriedSpeech(
  playing: PlayoutRest | null,
  open: OpenReply | null,
  format: AudioFormat,
): Carried {
  if (playing === null) return { kind: "unknown", isOut: false };
  if (open !== null && playing.wasCut) return { kind: "cut" };
  const { cue } = playing;
  const ofReply = (mark: number | null): number | null =>
    mark === null || cue === null || isSinceCue(mark, cue) ? mark : null;
  const echoedMark = ofReply(playing.echoedMark);
  const sentMark = ofReply(playing.sentMark);
  const marks = [echoedMark, sentMark, ...playing.marks.map(({ id }) => id)];
  const known = marks.filter((mark) => mark !== null);
  const isOurs = open !== null && known.every((mark) => isOfTurn(mark, open.turn));
  if (!isOurs) return { kind: "unknown", isOut: playing.isOut };

  const words = wordsOf(open.intended);
  const count = (mark: number | null): number => (mark === null ? 0 : readMark(mark).wordCount);
  const heardCount = Math.min(count(echoedMark), words.length);
  const sentCount = Math.max(count(sentMark), heardCount);
  // Of a reply whose text was still being written more may be said than the journal knows: that is said again.
  const usable = playing.marks.filter(({ id }) => count(id) <= words.length);
  const end = usable.at(-1);
  const endCount = Math.max(end === undefined ? 0 : count(end.id), Math.min(sentCount, words.length));
  const speech = speechOf(words, heardCount, sentCount, endCount, usable, playing.audio, bytesPerMs(format));
  return {
    kind: "goesOn",
    heardCount,
    speech,
    queuedCount: Math.max(0, Math.min(sentCount, endCount) - heardCount),
  };
}

function speechOf(
  words: readonly string[],
  heardCount: number,
  sentCount: number,
  endCount: number,
  marks: PlayoutRest["marks"],
  audio: Uint8Array,
  perMs: number,
): CachedSpeech {
  const timed: { word: string; startMs: number; endMs: number }[] = [];
  let startMs = 0;
  for (let index = heardCount; index < endCount; index += 1) {
    const mark = marks.find(({ id }) => readMark(id).wordCount > index);
    const endMs = index < sentCount || mark === undefined ? startMs : mark.atBytes / perMs;
    timed.push({ word: words[index]!, startMs, endMs });
    startMs = endMs;
  }
  return {
    text: words.slice(heardCount, endCount).join(" "),
    audio: audio.slice(0, marks.at(-1)?.atBytes ?? 0),
    words: timed,
  };
}
