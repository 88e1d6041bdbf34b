/**
 * What differs between Deepgram's two streaming APIs, v1 and Flux, as seen by the parts they share
 * (session, pool, stream): how to open one, how to steer it, and what its messages mean.
 */
import type { DeepgramClient } from "@deepgram/sdk";
import type { Failure } from "../failures.js";
import type { DeepgramSettings } from "../settings.js";
import type { SttRequest, SttWord } from "./provider.js";

/** What a connection is opened for; the call is not known yet when it is opened ahead. */
export type SessionRequest = Omit<SttRequest, "callId"> & { readonly callId: string | null };

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

/** Times are milliseconds of Deepgram's, from its stream's start; the stream makes them the call's. */
export interface TranscriptSink {
  interim(text: string, words: readonly SttWord[], startMs: number, endMs: number): void;
  final(text: string, words: readonly SttWord[], startMs: number, endMs: number, endOfSpeech: boolean): void;
  speechStarted(atMs: number): void;
  eagerEndOfTurn(text: string, words: readonly SttWord[], startMs: number, endMs: number): void;
  turnResumed(): void;
  failed(failure: Failure): void;
}

/** Reads the messages of one stream, in order; holds what they mean together. */
export interface DeepgramReader {
  read(message: Readonly<Record<string, unknown>>, sink: TranscriptSink): void;
}

export interface DeepgramDialect {
  readonly name: string;
  /** Audio sent to a socket that waits for a caller, every LEAD_IN_INTERVAL_MS; 0 sends only the first. */
  readonly leadInRepeats: boolean;
  /** Milliseconds of audio in one binary message while nobody speaks, and while somebody does. */
  readonly idleBatchMs: number;
  readonly speechBatchMs: number;
  open(
    client: DeepgramClient,
    request: SessionRequest,
    settings: DeepgramSettings,
    sdkConnectTimeoutS: number,
  ): Promise<DeepgramControls>;
  createReader(): DeepgramReader;
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
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
