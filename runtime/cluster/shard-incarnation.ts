/**
 * One life of a shard, seen from the main thread: a worker thread with its arena, its slots, its heartbeat
 * and the requests that wait for it. It does not decide anything; ShardHost does.
 *
 * I1 `onGone` fires once, whether the thread threw, ran out of memory, exited, was killed or never started;
 *    nothing of this incarnation is reported after it.
 * I2 what the thread had posted before it ended is reported before `onGone`, unless it was killed.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError, fromWire, toWire } from "#runtime/errors";
import type { Arena, NapFlag } from "#runtime/media";
import { AskTable } from "./ask-table.js";
import { Heartbeat } from "./heartbeat.js";
import type { FromShard, ShardBoot, ShardItem, ToShard } from "./messages.js";
import type { ShardThread } from "./shard-thread.js";
import type { SlotTable } from "./slot-table.js";

export interface IncarnationOptions {
  readonly shardId: number;
  readonly startThread: (boot: ShardBoot) => ShardThread;
  readonly workerData: unknown;
  readonly config: { readonly value: unknown } | null;
  readonly heartbeatMs: number;
  readonly pollMs: number;
  readonly edgeNap: NapFlag;
  readonly clock: Clock;
}

/** What ended a shard; a metric label: add rarely, never rename. */
export type ShardLossReason =
  /** It sent no heartbeat for too long, and was terminated. */
  | "hung"
  /** An error nobody caught. */
  | "threw"
  | "outOfMemory"
  /** The thread ended itself. */
  | "exited"
  /** It did not become ready: in time, or because its handler failed to start. */
  | "notReady"
  /** The pool is closing. */
  | "closed";

export interface ShardLoss {
  readonly reason: ShardLossReason;
  /** For people, as the rest of a sentence: "exited with code 3". */
  readonly what: string;
  readonly cause: Error | null;
}

export interface IncarnationEvents {
  onReady(): void;
  onWake(): void;
  onItem(item: ShardItem): void;
  onGone(loss: ShardLoss): void;
}

export class ShardIncarnation {
  readonly slots: SlotTable;
  readonly heartbeat: Heartbeat;
  /** Settles when the thread is really over; never rejects. */
  readonly exited: Promise<void>;
  readonly #shardId: number;
  readonly #asks: AskTable;
  readonly #events: IncarnationEvents;
  readonly #thread: ShardThread;
  #gone = false;
  /** What the thread said before it ended, if it did. */
  #lastWords: ShardLoss | null = null;

  /** @throws when no thread can be made at all */
  constructor(options: IncarnationOptions, slots: SlotTable, events: IncarnationEvents) {
    this.slots = slots;
    this.heartbeat = new Heartbeat();
    this.heartbeat.beat(options.clock.nowMs());
    this.#shardId = options.shardId;
    this.#asks = new AskTable(options.shardId, options.clock);
    this.#events = events;
    this.#thread = options.startThread(bootOf(options, slots.arena, this.heartbeat));
    this.#thread.on("message", (message) => this.#receive(message));
    this.#thread.on("messageerror", (error) => {
      this.#events.onItem({
        kind: "fault",
        what: "a message of the shard cannot be read",
        error: toWire(error),
      });
    });
    this.#thread.on("error", (error) => {
      this.#lastWords = lossOf(error);
    });
    this.exited = new Promise((resolve) => {
      this.#thread.on("exit", (code) => {
        this.#finish(this.#lastWords ?? { reason: "exited", what: `exited with code ${code}`, cause: null });
        resolve();
      });
    });
  }

  /** A message to a thread that is over goes nowhere; what depends on it hears of the end. */
  post(message: ToShard): void {
    if (!this.#gone) this.#thread.postMessage(message);
  }

  ask(topic: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    return this.#asks.add(topic, deadlineMs, (id) => this.post({ kind: "ask", id, topic, payload }));
  }

  /** Ends the thread now, in whatever it is doing. `onGone` fires before this returns. */
  kill(reason: ShardLossReason, what: string): void {
    // terminate() settles with `exited`; it has no failure of its own.
    void this.#thread.terminate();
    this.#finish({ reason, what, cause: null });
  }

  #receive(message: FromShard): void {
    if (this.#gone) return;
    if (message === null) {
      this.#events.onWake();
      return;
    }
    switch (message.kind) {
      case "ready":
        this.#events.onReady();
        return;
      case "startFailed": {
        const cause = fromWire(message.error);
        this.#lastWords = { reason: "notReady", what: `could not start: ${cause.message}`, cause };
        return;
      }
      case "answer":
        if (message.result.ok) this.#asks.resolve(message.id, message.result.value);
        else this.#asks.reject(message.id, fromWire(message.result.error));
        return;
      case "batch":
        this.heartbeat.noteRead();
        for (const item of message.items) this.#events.onItem(item);
        return;
    }
  }

  #finish(loss: ShardLoss): void {
    if (this.#gone) return;
    this.#gone = true;
    const cause = loss.cause ?? undefined;
    this.#asks.rejectAll(
      () => new LumentraError("SHARD_LOST", `shard ${this.#shardId} ${loss.what}`, { cause }),
    );
    this.#events.onGone(loss);
  }
}

function lossOf(error: unknown): ShardLoss {
  const cause = error instanceof Error ? error : new Error(String(error));
  return "code" in cause && cause.code === "ERR_WORKER_OUT_OF_MEMORY"
    ? { reason: "outOfMemory", what: "ran out of memory", cause }
    : { reason: "threw", what: `threw: ${cause.message}`, cause };
}

function bootOf(options: IncarnationOptions, arena: Arena, heartbeat: Heartbeat): ShardBoot {
  return {
    shardId: options.shardId,
    arenaBuffer: arena.buffer,
    heartbeatBuffer: heartbeat.buffer,
    edgeNapBuffer: options.edgeNap.buffer,
    heartbeatMs: options.heartbeatMs,
    pollMs: options.pollMs,
    workerData: options.workerData,
    config: options.config,
  };
}
