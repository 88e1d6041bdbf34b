/**
 * The supervisor of one shard: starts its thread, watches it, and starts another when it dies.
 *
 * ```
 *  idle -> starting -> ready --------------------------> closing -> closed
 *             ^          |  died, hung                       ^
 *             |          v                                   |
 *             +------ backoff                                |
 *                        |  restarted too often              |
 *                        v                                   |
 *                     failed --------------------------------+
 * ```
 * H1 a shard's death is reported once, with every lease that died with it; state and slots are settled
 *    before, so that whoever is told may reserve elsewhere at once.
 * H2 a new incarnation gets a new arena: a thread that is slow to die writes into memory nobody reads.
 */
import assert from "node:assert/strict";
import { type Clock, RestartBudget, type TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { Arena, type NapFlag } from "#runtime/media";
import type { Logger } from "#runtime/telemetry";
import type { CallOutcome, CallStart } from "./call-start.js";
import { HangDetector } from "./hang-detector.js";
import type { ShardLoad } from "./heartbeat.js";
import type { ShardItem } from "./messages.js";
import type { ResolvedShardPoolOptions } from "./options.js";
import { ShardIncarnation, type ShardLoss, type ShardLossReason } from "./shard-incarnation.js";
import type { SlotLease } from "./slot-lease.js";
import { SlotTable } from "./slot-table.js";
import type { ThreadCpu } from "./thread-cpu.js";

/** The second restart in a row waits this long, the next twice that, and so on. The first does not wait. */
const FIRST_BACKOFF_MS = 100;
/** Long enough that a shard that cannot start costs little, short enough to be back soon after the cause is gone. */
const MAX_BACKOFF_MS = 5_000;
/** A node has a handful of shards that fail together when a cause is common; spread their restarts. */
const BACKOFF_JITTER = 0.2;

/** Loading a shard's code takes a core for half a second, which those who took over its calls need first. */
const UNHURRIED_MS = 1_000;
/** Of the silence in which a shard is taken for spinning, how much it must have run: see HangDetector. */
const SPINNING_CPU_SHARE = 0.6;
/** One false alarm is a resume, one after the other would be an outage. */
const SPINNING_AGAIN_MS = 60_000;
/** A snapshot of thousands of tenants is read in one callback. */
const CONFIGURING_MS = 5_000;

export type ShardState = "idle" | "starting" | "ready" | "backoff" | "failed" | "closing" | "closed";

type State =
  /** Not started yet. */
  | { readonly kind: "idle" }
  /** The thread loads and its handler starts; the timer bounds it. */
  | { readonly kind: "starting"; readonly incarnation: ShardIncarnation; readonly timer: TimerHandle }
  /** It serves. */
  | { readonly kind: "ready"; readonly incarnation: ShardIncarnation; readonly hang: HangDetector }
  /** Dead; the timer starts the next one. */
  | { readonly kind: "backoff"; readonly timer: TimerHandle }
  /** Dead, and it died too often to be started again. */
  | { readonly kind: "failed" }
  /** Told to stop; the timer ends it if it does not. */
  | { readonly kind: "closing"; readonly incarnation: ShardIncarnation; readonly timer: TimerHandle }
  | { readonly kind: "closed" };

/** What is known of a shard's end. */
export interface LastOfShard {
  /** Of the leases that died with it, the one whose call's code ran at the end; null when none did. */
  readonly culprit: SlotLease | null;
  /** How long it had done nothing when it was taken for dead. */
  readonly silentMs: number;
}

export interface ShardHostEvents {
  onReady(shardId: number): void;
  onWake(shardId: number): void;
  onItem(shardId: number, item: ShardItem): void;
  onLost(shardId: number, leases: readonly SlotLease[], reason: ShardLossReason, last: LastOfShard): void;
  /** Whether others can take this shard's calls, so that its restart need not hurry. */
  hasStandIn(shardId: number): boolean;
}

export interface ShardStats {
  readonly shardId: number;
  readonly state: ShardState;
  /** What it is there for: new calls, another's death, or to be emptied. */
  readonly role: "serving" | "spare" | "draining";
  /** Slots taken: reserved, open, or waiting for one side to finish. */
  readonly live: number;
  readonly free: number;
  /** Slots the edge has given back and the shard still holds; more than a few for long is a leak. */
  readonly lingering: number;
  readonly restarts: number;
  /** Null when there is no thread. */
  readonly heartbeatAgeMs: number | null;
  /** Null unless it serves. */
  readonly load: ShardLoad | null;
}

export class ShardHost {
  readonly shardId: number;
  readonly #options: ResolvedShardPoolOptions;
  readonly #events: ShardHostEvents;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #budget: RestartBudget;
  /** Threads that were let go of but have not ended yet. */
  readonly #exits = new Set<Promise<void>>();
  readonly #nextGeneration = (): number => ++this.#generation;
  #generation = 0;
  #state: State = { kind: "idle" };
  #restarts = 0;
  #config: { readonly value: unknown } | null = null;
  #drainDeadlineAtMs: number | null = null;
  /** The node's, for this thread and those after it. */
  #pressure = 0;
  /** When one of its threads was last ended for spinning; see HangDetector. */
  #spunAtMs = Number.NEGATIVE_INFINITY;
  #configuredAtMs = Number.NEGATIVE_INFINITY;
  #recycling = false;
  readonly #edgeNap: NapFlag;
  /** Set until the first incarnation is ready or dead. */
  #started: { resolve: () => void; reject: (error: Error) => void } | null = null;

  constructor(shardId: number, options: ResolvedShardPoolOptions, edgeNap: NapFlag, events: ShardHostEvents) {
    this.shardId = shardId;
    this.#options = options;
    this.#edgeNap = edgeNap;
    this.#events = events;
    this.#clock = options.clock;
    this.#log = options.log.child({ shardId });
    this.#budget = new RestartBudget(options.restart);
  }

  /** Rejects with SHARD_START_FAILED when the first incarnation does not come up: it is not retried. */
  start(): Promise<void> {
    assert(this.#state.kind === "idle", "a shard is started once");
    return new Promise((resolve, reject) => {
      this.#started = { resolve, reject };
      this.#spawn();
    });
  }

  get state(): ShardState {
    return this.#state.kind;
  }

  /** The slots to place calls in; null while the shard cannot serve. */
  get readySlots(): SlotTable | null {
    return this.#state.kind === "ready" ? this.#state.incarnation.slots : null;
  }

  /** Its in-rings were written since it last looked, and nobody has told it. */
  wakeIfRung(): void {
    const incarnation = this.#incarnation;
    if (incarnation === null || !incarnation.slots.wakeOwed) return;
    incarnation.slots.wakeOwed = false;
    incarnation.post(null);
  }

  /** The slots of whatever thread there is. */
  get slots(): SlotTable | null {
    return this.#incarnation?.slots ?? null;
  }

  configure(config: unknown): void {
    this.#config = { value: config };
    this.#configuredAtMs = this.#clock.nowMs();
    this.#incarnation?.post({ kind: "configure", config });
  }

  setPressure(rung: number): void {
    this.#pressure = rung;
    this.#incarnation?.heartbeat.tellPressure(rung);
  }

  /** False when the lease is lost. */
  open(lease: SlotLease, start: CallStart): boolean {
    const incarnation = this.#incarnation;
    if (incarnation === null || incarnation.slots !== SlotTable.of(lease)) {
      // Of an earlier incarnation: lost, and reported so.
      assert(lease.state === "lost", `cannot open a lease that is ${lease.state}`);
      return false;
    }
    if (!incarnation.slots.markOpen(lease)) return false;
    try {
      const { slot, generation } = lease;
      incarnation.post({ kind: "openCall", slot, generation, start });
      return true;
    } catch (error) {
      incarnation.slots.markReserved(lease);
      throw error;
    }
  }

  /** False when there is no such call any more. */
  endCall(lease: SlotLease, outcome: CallOutcome): boolean {
    const incarnation = this.#incarnation;
    if (incarnation === null || incarnation.slots !== SlotTable.of(lease) || lease.state !== "open") {
      return false;
    }
    const { slot, generation } = lease;
    incarnation.post({ kind: "endCall", slot, generation, outcome });
    return true;
  }

  ask(topic: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    if (this.#state.kind !== "ready") {
      const what = `shard ${this.shardId} is ${this.#state.kind}`;
      return Promise.reject(new LumentraError("SHARD_LOST", `${what}; "${topic}" was not sent`));
    }
    return this.#state.incarnation.ask(topic, payload, deadlineMs);
  }

  /** Called at the watchdog's pace. */
  look(): void {
    if (this.#state.kind !== "ready") return;
    const { incarnation, hang } = this.#state;
    const { heartbeat } = incarnation;
    const nowMs = this.#clock.nowMs();
    const mayRun =
      incarnation.slots.liveCount === 0 ||
      nowMs - this.#configuredAtMs < CONFIGURING_MS ||
      nowMs - this.#spunAtMs < SPINNING_AGAIN_MS;
    const cpu = (): ThreadCpu | null => this.#options.threadCpu(heartbeat.threadId());
    if (!hang.look(heartbeat.progress(), nowMs, cpu, mayRun)) return;
    if (hang.silentMs < this.#options.watchdog.hungAfterMs) this.#spunAtMs = nowMs;
    incarnation.kill("hung", `sent no heartbeat for ${Math.round(hang.silentMs)} ms`);
  }

  /** A fresh thread in place of this one, whose calls are gone. False: it does not serve, or has calls. */
  recycle(): boolean {
    if (this.#state.kind !== "ready" || this.#state.incarnation.slots.liveCount > 0) return false;
    void this.close();
    this.#recycling = true;
    return true;
  }

  beginDrain(deadlineAtMs: number): void {
    this.#drainDeadlineAtMs = deadlineAtMs;
    if (this.#state.kind === "ready") {
      this.#state.incarnation.post({ kind: "beginDrain", deadlineAtMs });
    }
    // Nothing new will come to it, so there is nothing to come back for.
    if (this.#state.kind === "backoff") {
      this.#state.timer.cancel();
      this.#state = { kind: "closed" };
    }
  }

  /** Idempotent; resolves when no thread of this shard is left. */
  async close(): Promise<void> {
    this.#recycling = false; // nothing comes after this one any more
    const state = this.#state;
    if (state.kind === "starting" || state.kind === "backoff") state.timer.cancel();
    if (state.kind === "starting" || state.kind === "ready") {
      const { incarnation } = state;
      const timer = this.#clock.setTimer(this.#options.closeGraceMs, () => {
        this.#log.warn({ closeGraceMs: this.#options.closeGraceMs }, "shard did not stop in time");
        incarnation.kill("closed", "was closed by force");
      });
      this.#state = { kind: "closing", incarnation, timer };
      incarnation.post({ kind: "stop" });
    } else if (state.kind !== "closing") {
      this.#state = { kind: "closed" };
    }
    await Promise.all(this.#exits);
  }

  stats(role: ShardStats["role"]): ShardStats {
    const incarnation = this.#incarnation;
    return {
      shardId: this.shardId,
      state: this.#state.kind,
      role,
      live: incarnation?.slots.liveCount ?? 0,
      free: this.readySlots?.freeCount ?? 0,
      lingering: incarnation?.slots.lingeringCount ?? 0,
      restarts: this.#restarts,
      heartbeatAgeMs: incarnation?.heartbeat.ageMs(this.#clock.nowMs()) ?? null,
      load: this.#state.kind === "ready" ? this.#state.incarnation.heartbeat.load() : null,
    };
  }

  get #incarnation(): ShardIncarnation | null {
    const state = this.#state;
    return state.kind === "starting" || state.kind === "ready" || state.kind === "closing"
      ? state.incarnation
      : null;
  }

  #spawn(): void {
    try {
      this.#startIncarnation();
    } catch (error) {
      // No memory for an arena, no thread to be had.
      const cause = error instanceof Error ? error : new Error(String(error));
      this.#noteDeath({ reason: "notReady", what: `could not be spawned: ${cause.message}`, cause }, []);
    }
  }

  #startIncarnation(): void {
    const options = this.#options;
    const arena = Arena.create({ slotCount: options.slotsPerShard, ...options.arena });
    const incarnation = new ShardIncarnation(
      {
        shardId: this.shardId,
        startThread: options.startThread,
        workerData: options.workerData,
        config: this.#config,
        heartbeatMs: options.watchdog.heartbeatMs,
        pollMs: options.pollMs,
        edgeNap: this.#edgeNap,
        clock: this.#clock,
      },
      new SlotTable(this.shardId, arena, this.#nextGeneration),
      {
        onReady: () => this.#onReady(incarnation),
        onWake: () => this.#events.onWake(this.shardId),
        onItem: (item) => this.#events.onItem(this.shardId, item),
        onGone: (loss) => this.#onGone(incarnation, loss),
      },
    );
    incarnation.heartbeat.tellPressure(this.#pressure);
    const timer = this.#clock.setTimer(options.readyTimeoutMs, () => {
      incarnation.kill("notReady", `was not ready within ${options.readyTimeoutMs} ms`);
    });
    this.#state = { kind: "starting", incarnation, timer };
    this.#exits.add(incarnation.exited);
    void incarnation.exited.then(() => this.#exits.delete(incarnation.exited));
  }

  #onReady(incarnation: ShardIncarnation): void {
    if (this.#state.kind !== "starting") return;
    this.#state.timer.cancel();
    const { spinningAfterMs } = this.#options.watchdog;
    const hang = new HangDetector(
      { ...this.#options.watchdog, spinningCpuMs: SPINNING_CPU_SHARE * spinningAfterMs },
      incarnation.heartbeat.progress(),
      this.#clock.nowMs(),
    );
    this.#state = { kind: "ready", incarnation, hang };
    this.#log.info({ restarts: this.#restarts }, "shard ready");
    if (this.#drainDeadlineAtMs !== null) this.beginDrain(this.#drainDeadlineAtMs);
    this.#started?.resolve();
    this.#started = null;
    this.#events.onReady(this.shardId);
  }

  #onGone(incarnation: ShardIncarnation, loss: ShardLoss): void {
    if (this.#state.kind === "starting" || this.#state.kind === "closing") this.#state.timer.cancel();
    const { slots, heartbeat } = incarnation;
    const silentMs = loss.reason === "hung" ? heartbeat.ageMs(this.#clock.nowMs()) : 0;
    const leases = slots.loseAll();
    const runs = heartbeat.runs();
    const culprit = leases.find(({ generation }) => generation === runs) ?? null;
    this.#noteDeath(loss, leases, { culprit, silentMs });
  }

  #noteDeath(
    { reason, what, cause }: ShardLoss,
    leases: readonly SlotLease[],
    last: LastOfShard = { culprit: null, silentMs: 0 },
  ): void {
    const before = this.#state.kind;
    this.#state = this.#afterDeath(before);
    const line = { reason, what, lostCalls: leases.length, state: this.#state.kind, err: cause };
    if (before === "closing") this.#log.info(line, "shard closed");
    else this.#log.error(line, "shard lost");
    this.#started?.reject(
      new LumentraError("SHARD_START_FAILED", `shard ${this.shardId} ${what}`, { cause: cause ?? undefined }),
    );
    this.#started = null;
    const told = before === "closing" ? "closed" : reason;
    if (before === "ready" || leases.length > 0) this.#events.onLost(this.shardId, leases, told, last);
  }

  #afterDeath(before: ShardState): State {
    if (before === "closing" && this.#recycling && this.#drainDeadlineAtMs === null) {
      this.#recycling = false;
      return { kind: "backoff", timer: this.#clock.setTimer(0, () => this.#spawn()) };
    }
    // During a drain nothing new comes to this shard; a first start that failed is the caller's to repeat.
    if (before === "closing" || this.#drainDeadlineAtMs !== null || this.#started !== null) {
      return { kind: "closed" };
    }
    const nowMs = this.#clock.nowMs();
    if (!this.#budget.tryTake(nowMs)) return { kind: "failed" };
    this.#restarts++;
    const delayMs = Math.max(
      this.#backoffMs(this.#budget.usedAt(nowMs)),
      this.#events.hasStandIn(this.shardId) ? UNHURRIED_MS : 0,
    );
    const timer = this.#clock.setTimer(delayMs, () => this.#spawn());
    return { kind: "backoff", timer };
  }

  #backoffMs(recentRestarts: number): number {
    if (recentRestarts <= 1) return 0;
    const baseMs = Math.min(FIRST_BACKOFF_MS * 2 ** (recentRestarts - 2), MAX_BACKOFF_MS);
    return baseMs * (1 + BACKOFF_JITTER * this.#options.random.next());
  }
}
