/**
 * What differs between Deepgram's two streaming APIs, v1 and Flux, beside what differs between all
 * vendors (stt-dialect.ts): where one is opened, and how it is steered.
 */
import type { DeepgramSettings } from "../settings.js";
import type { SttWord } from "./provider.js";
import { type SessionRequest, type SttDialect, textOf } from "./stt-dialect.js";

/** What is asked for, as it stands in the address; of an array each entry by itself. */
export type DeepgramQuery = Readonly<Record<string, string | number | readonly string[]>>;

/** The messages that steer a stream; null where an API has no such message. */
export interface DeepgramControls {
  /** While no audio flows. */
  readonly keepAlive: string | null;
  readonly finalize: string | null;
}

/** No more audio: a polite goodbye, the same in both. */
export const CLOSE_STREAM = '{"type":"CloseStream"}';

export interface DeepgramDialect extends SttDialect {
  readonly path: string;
  query(request: SessionRequest, settings: DeepgramSettings): DeepgramQuery;
  controls(settings: DeepgramSettings): DeepgramControls;
}

/** Seconds to milliseconds; NaN when it is not a number. */
export function msOf(seconds: unknown): number {
  return typeof seconds === "number" ? Math.round(seconds * 1_000) : Number.NaN;
}

/** Words without times are left out: nothing could be aligned with them. */
export function wordsOf(value: unknown): readonly SttWord[] {
  if (!Array.isArray(value)) return [];
  const words: SttWord[] = [];
  for (const entry of value as readonly Readonly<Record<string, unknown>>[]) {
    const word = textOf(entry?.["punctuated_word"]) || textOf(entry?.["word"]);
    const startMs = msOf(entry?.["start"]);
    const endMs = msOf(entry?.["end"]);
    if (word !== "" && startMs >= 0 && endMs >= 0) words.push({ word, startMs, endMs });
  }
  return words;
}
