/**
 * What differs between recognisers that listen on a WebSocket, as seen by the parts they share (pool, stream,
 * provider): how a session is opened and steered, how audio is cut for it, and what its messages mean.
 */
import type { Clock, Random } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { DueSweep } from "../due-sweep.js";
import type { Failure, Failures } from "../failures.js";
import type { Network } from "../network.js";
import type { SttRequest, SttWord } from "./provider.js";

/** What a connection is opened for; the call is not known yet when it is opened ahead. */
export type SessionRequest = Omit<SttRequest, "callId"> & { readonly callId: string | null };

/** Hears `onReady` at most once, then messages, then `onEnd` exactly once; after `release()` nothing. */
export interface SessionOwner {
  onReady(): void;
  /** Parsed JSON; undefined when it was not JSON. */
  onMessage(message: unknown): void;
  onEnd(failure: Failure): void;
}

/** One connection. It serves one stream; ahead of that it belongs to the pool, and `adopt()` hands it over. */
export interface SttSession {
  readonly openedAtMs: number;
  readonly isReady: boolean;
  /** Audio sent before it had a caller: part of the vendor's time, not of the call's. */
  readonly leadInMs: number;
  readonly bufferedBytes: number;
  adopt(owner: SessionOwner): void;
  /** Audio in the requested format; sent at once. Only when ready. */
  sendAudio(audio: Uint8Array): void;
  /** Silence that holds the socket open while it waits for a caller. */
  sendLeadIn(silence: Uint8Array, durationMs: number): void;
  keepAlive(): void;
  finalize(): void;
  /** Says goodbye and leaves. Idempotent. */
  release(): void;
}

export interface SttDialect {
  readonly name: string;
  /** Audio sent to a socket that waits for a caller, again and again; false sends only the first. */
  readonly leadInRepeats: boolean;
  /** Milliseconds of audio in one binary message while nobody speaks, and while somebody does. */
  readonly idleBatchMs: number;
  readonly speechBatchMs: number;
  /** The same on a line on which nobody has spoken for a while. */
  readonly quietBatchMs: number;
  /** The same while somebody speaks and the shard has `crowdedStreams` of them. */
  readonly crowdedBatchMs: number;
  /** Less is refused: a flush waits for the frame that makes it so much. 0 takes any. */
  readonly messageMinMs: number;
  /** Audio it takes ahead of the time that has passed since it opened; the rest follows as time does. */
  readonly aheadMaxMs: number;
  createReader(): SttReader;
}

/** Times are milliseconds of the vendor's, from its stream's start; the stream makes them the call's. */
export interface TranscriptSink {
  interim(text: string, words: readonly SttWord[], startMs: number, endMs: number): void;
  final(text: string, words: readonly SttWord[], startMs: number, endMs: number, endOfSpeech: boolean): void;
  speechStarted(atMs: number): void;
  eagerEndOfTurn(text: string, words: readonly SttWord[], startMs: number, endMs: number): void;
  turnResumed(): void;
  failed(failure: Failure): void;
}

/** Reads the messages of one stream, in order; holds what they mean together. */
export interface SttReader {
  read(message: Readonly<Record<string, unknown>>, sink: TranscriptSink): void;
}

/** Of a vendor's settings, what the shared parts use. */
export interface SocketSettings {
  /** While the caller is speaking (`write(…, true)`): longest time without any message. */
  readonly speechTimeoutMs: number;
  /** While audio flows: longest time without any message, speech or not. */
  readonly silenceTimeoutMs: number;
  /** Sockets held open ahead for each kind of request (model, language, format, keyterms). */
  readonly warmPerKind: number;
  /** Sockets held open ahead in all, per provider and shard. */
  readonly warmMax: number;
  /** Streams of one shard from which on speech goes in `crowdedBatchMs`. */
  readonly crowdedStreams: number;
}

export interface SocketSttDeps<Settings extends SocketSettings = SocketSettings> {
  readonly settings: Settings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly random: Random;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
