/**
 * What the main thread and a shard say to each other: two unions, plain data only. Audio does not pass
 * here; it is in the arena.
 *
 * Most of what a shard has to say waits for the end of its tick and goes in one batch: a postMessage costs
 * as much as handling a dozen events. Answers and wakes go at once.
 */
import type { WireError } from "#runtime/errors";
import type { CallOutcome, CallStart } from "./call-start.js";

/** What a shard's thread is born with. */
export interface ShardBoot {
  readonly shardId: number;
  readonly arenaBuffer: SharedArrayBuffer;
  readonly heartbeatBuffer: SharedArrayBuffer;
  /** The main thread's NapFlag. */
  readonly edgeNapBuffer: SharedArrayBuffer;
  readonly heartbeatMs: number;
  readonly pollMs: number;
  /** The pool's own `workerData`, as given. */
  readonly workerData: unknown;
  /** The configuration in force, if there is one yet; applied before the shard reports ready. */
  readonly config: { readonly value: unknown } | null;
}

/** From the main thread to a shard; null: in-rings were written. */
export type ToShard = null | OpenCall | EndCall | Configure | Ask | BeginDrain | Stop;

/** A media socket has opened on this slot. Answered by CallClosed or CallRefused, always. */
export interface OpenCall {
  readonly kind: "openCall";
  readonly slot: number;
  readonly generation: number;
  readonly start: CallStart;
}

/** End this call with this outcome; nothing when it is over already. */
export interface EndCall {
  readonly kind: "endCall";
  readonly slot: number;
  readonly generation: number;
  readonly outcome: CallOutcome;
}

/** A new snapshot of the configuration: whole, not a difference. */
export interface Configure {
  readonly kind: "configure";
  readonly config: unknown;
}

/** A request; answered by the Answer with the same id, always. */
export interface Ask {
  readonly kind: "ask";
  readonly id: number;
  readonly topic: string;
  readonly payload: unknown;
}

/** No new calls will come; those that run have until then. */
export interface BeginDrain {
  readonly kind: "beginDrain";
  readonly deadlineAtMs: number;
}

/** Release everything and end the thread. */
export interface Stop {
  readonly kind: "stop";
}

/** From a shard to the main thread. */
export type FromShard = Wake | Ready | StartFailed | Answer | Batch;

/** The out-bell was rung: the smallest message there is. */
export type Wake = null;

/** The shard can serve. */
export interface Ready {
  readonly kind: "ready";
}

/** The shard's handler could not start; the thread ends by itself. */
export interface StartFailed {
  readonly kind: "startFailed";
  readonly error: WireError;
}

export interface Answer {
  readonly kind: "answer";
  readonly id: number;
  readonly result:
    | { readonly ok: true; readonly value: unknown }
    | { readonly ok: false; readonly error: WireError };
}

/** What came up during one tick, in order. */
export interface Batch {
  readonly kind: "batch";
  readonly items: readonly ShardItem[];
}

export type ShardItem = ShardEvent | CallClosed | CallRefused | HangUp | Fault;

/** Whatever the shard's handler emitted. */
export interface ShardEvent {
  readonly kind: "event";
  readonly event: unknown;
}

/** The shard has finished with the slot and will not touch its rings again. */
export interface CallClosed {
  readonly kind: "callClosed";
  readonly slot: number;
  readonly generation: number;
  readonly outcome: CallOutcome;
}

/** An OpenCall that could not be delivered: the shard never touched the slot. */
export interface CallRefused {
  readonly kind: "callRefused";
  readonly slot: number;
  readonly generation: number;
  readonly error: WireError;
}

/** The agent wants the leg ended. */
export interface HangUp {
  readonly kind: "hangUp";
  readonly slot: number;
  readonly generation: number;
}

/** Something went wrong that the shard survived; for the log. */
export interface Fault {
  readonly kind: "fault";
  readonly what: string;
  readonly error: WireError;
}
