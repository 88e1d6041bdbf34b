/**
 * What sets apart voices that speak many replies as contexts on few sockets: how a socket is opened, what is
 * written into a context and what is read out of it. Sockets, their pool, and a reply's way through its
 * contexts are the same for all of them (context-socket.ts, context-pool.ts, context-stream.ts).
 */
import type { WireSocketOptions } from "../wire-socket.js";
import type { Failure } from "../failures.js";
import type { TtsRequest, TtsVoice, TtsWord } from "./provider.js";

export type ContextMessage = Readonly<Record<string, unknown>>;

/** What all such voices are set by. */
export interface ContextVoiceSettings {
  readonly connectTimeoutMs: number;
  /** From the first text that waits for audio to that audio. */
  readonly firstAudioTimeoutMs: number;
  /** Between two events once all text was sent, and to the end of the context. */
  readonly betweenEventsTimeoutMs: number;
  /** Sockets kept open even when nobody speaks. */
  readonly socketsAhead: number;
  readonly socketsMax: number;
  /** Replies spoken at once on one socket. */
  readonly contextsPerSocket: number;
}

export interface ContextDialect {
  readonly name: string;
  readonly settings: ContextVoiceSettings;
  /** A socket without contexts is replaced after this long, before the vendor closes it. */
  readonly socketIdleMaxMs: number;
  /** Without any reply for this long, no socket is kept open or replaced. */
  readonly unusedMaxMs: number;
  /** A context whose text pauses is kept alive, or finished, this long after its last event. */
  readonly contextIdleMs: number;
  /** So often in a row before it is finished. */
  readonly keepAlivesMax: number;
  /** The last message of a context it has forgotten looks like that of one we finished. */
  readonly forgetsSilently: boolean;
  /** A context we left counts as one of its socket's until the vendor says that it is over. */
  readonly lingers: boolean;
  socketOptions(voice: TtsVoice): Omit<WireSocketOptions, "connectTimeoutMs" | "messageMaxBytes">;
  /** The context a message is for; null when it names none. */
  contextIdOf(message: ContextMessage): string | null;
  /** The message is the last of its context. */
  isLast(message: ContextMessage): boolean;
  /** Of a message that names no context: what is wrong with the socket, or null. */
  socketFailureOf(message: ContextMessage): Failure | null;
  /** The lines of one context. */
  begin(request: TtsRequest, contextId: string): ContextScript;
}

/** What is written into one context, and what its messages mean. */
export interface ContextScript {
  /** Sent before any text; null when the first text says it all. */
  readonly opening: string | null;
  /** What was given to `text` and waits for the rest of its word. */
  readonly heldText: string;
  /** More text follows. Null when there is nothing to send yet. */
  text(text: string): string | null;
  /** No more text: what is there is spoken to its end. */
  finish(): readonly string[];
  /** Stops what has not begun; what has may still come. */
  cancel(): string;
  keepAlive(): string;
  read(message: ContextMessage, reader: ContextReader): void;
}

/** What a message can mean; each is called as often as it does, in the message's order. */
export interface ContextReader {
  onChunk(base64: unknown): void;
  /** Audio of this context so far, in milliseconds. */
  readonly contextAudioMs: number;
  /** Times in milliseconds from the context's first sample. */
  onContextWords(words: readonly TtsWord[]): void;
  onContextDone(): void;
  /** `forgotten`: the context is gone because nothing came for too long, and nothing else is wrong. */
  onContextError(failure: Failure, forgotten: boolean): void;
}
