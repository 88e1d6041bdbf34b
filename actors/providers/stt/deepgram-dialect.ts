/**
 * What differs between Deepgram's two streaming APIs, v1 and Flux, beside what differs between all
 * vendors (stt-dialect.ts): how to open one with the SDK, and how to steer it.
 */
import type { DeepgramClient } from "@deepgram/sdk";
import type { DeepgramSettings } from "../settings.js";
import type { SttWord } from "./provider.js";
import { type SessionRequest, type SttDialect, textOf } from "./stt-dialect.js";

export interface DeepgramControls {
  /** Dials. */
  start(): void;
  /** Called while no audio flows. */
  keepAlive(): void;
  finalize(): void;
  /** No more audio: a polite goodbye. */
  closeStream(): void;
  /** Lets the SDK forget its socket and clear its timers. */
  detach(): void;
}

export interface DeepgramDialect extends SttDialect {
  open(
    client: DeepgramClient,
    request: SessionRequest,
    settings: DeepgramSettings,
    sdkConnectTimeoutS: number,
  ): Promise<DeepgramControls>;
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
