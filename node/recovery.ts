/**
 * Calls whose actor is gone while their leg is not: finds each another slot and lets an actor go on there from the
 * journal, over the same media socket.
 *
 *   open ──actor crashed, shard lost──▶ recovering ──there is a slot──▶ open, one tenure later
 *     └──moved (its shard is drained)──────────────────────────────────▶ │
 *                                            └──none came in time, or too many crashes──▶ given up: words, the end
 *
 * Invariants
 * V1 one owner: the tenure grows before the new actor hears of the call, and what an earlier tenure writes is refused.
 * V2 a call is gone on with from the whole of its journal, or not at all.
 * V3 until another slot is there the leg goes on with the old rings: what we had to say plays on, what the caller says
 *    stays in them, as much as they hold.
 * V4 taking over many calls leaves the main thread free for the others' audio in between.
 * V5 one that cannot be gone on with takes no other with it.
 * V6 what was asked of a lost actor, to end the call, is asked of the next.
 */
import { type Clock, RestartBudget, type RestartBudgetOptions, type TimerHandle } from "#runtime/actor";
import type { CallOutcome, CallStart, ResumeReason, ShardPool, SlotLease } from "#runtime/cluster";
import type { Edge } from "#runtime/edge";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { TenantConfig } from "#actors/tenants";
import type { JournalStore } from "./journal-store.js";
import type { LiveCall, LiveCalls } from "./live-calls.js";
import type { Quarantine } from "./quarantine.js";
import { untoldAudio } from "./untold-audio.js";

/** The third crash within the minute is the last. A crash that took the shard with it counts as two. */
const CRASHES: RestartBudgetOptions = { maxRestarts: 2, withinMs: 60_000 };
/** A shard is back in two or three seconds where there is no spare; a caller hears nothing from us meanwhile. */
const WAIT_FOR_SHARD_MS = 5_000;
/** … or somebody hangs up, and his slot is free: looked for so often, since new callers want it too. */
const ROOM_LOOK_MS = 100;
/** V4. Less than a piece of audio may be late. */
const SLICE_MS = 2;
/** One call alone is no slice. */
const NOW = Number.POSITIVE_INFINITY;
/** A shard that is drained is looked at so often, and given up after this: a handover waits ten seconds at most. */
const DRAIN_LOOK_MS = 100;
const DRAIN_WITHIN_MS = 60_000;

export interface RecoveryDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nodeId: string;
  readonly calls: LiveCalls;
  readonly journals: JournalStore;
  readonly quarantine: Quarantine;
  readonly pool: () => ShardPool;
  readonly edge: () => Edge;
  readonly tenantOf: (tenantId: string) => TenantConfig | undefined;
  /** V1: what earlier tenures write from here on is refused. */
  readonly onTakenOver: (call: LiveCall) => void;
  /** Nobody goes on with it, and its leg is open. */
  readonly onGivenUp: (call: LiveCall, outcome: CallOutcome) => void;
}

interface Waiting {
  readonly call: LiveCall;
  readonly reason: ResumeReason;
  /** Clock.nowMs() when its actor stopped. */
  readonly lostAtMs: number;
  /** What it is recorded as when it is given up. */
  readonly outcome: CallOutcome;
  /** The last round in which it found no slot. */
  triedInRound: number;
  timer: TimerHandle | null;
}

export class Recovery {
  readonly #deps: RecoveryDeps;
  /** Bounded by the slots: each is a live call's. In the order they came. */
  readonly #waiting = new Map<LiveCall, Waiting>();
  /** Grows when there may be slots for those that found none. */
  #round = 0;
  readonly #crashes = new WeakMap<LiveCall, RestartBudget>();
  readonly #drains = new Map<number, TimerHandle>();
  #isScheduled = false;
  #look: TimerHandle | null = null;

  constructor(deps: RecoveryDeps) {
    this.#deps = deps;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** A stage of it threw. */
  crashed(call: LiveCall, code: string): void {
    const { clock, quarantine } = this.#deps;
    quarantine.noteCrash(call);
    const outcome = { kind: "actorCrashed", code } as const;
    if (!this.#mayGoOn(call, 1)) return this.#giveUp(call, outcome);
    this.#add(call, "actorCrashed", clock.nowMs(), outcome, NOW);
  }

  /** Its shard is gone. */
  shardLost(calls: readonly LiveCall[], silentMs: number, culprit: LiveCall | null): void {
    const { clock, quarantine } = this.#deps;
    const lostAtMs = clock.nowMs() - silentMs;
    const untilMs = clock.nowMs() + SLICE_MS;
    for (const call of calls)
      if (call !== culprit) this.#add(call, "shardLost", lostAtMs, { kind: "shardLost" }, untilMs);
    if (culprit === null) return;
    quarantine.noteKill(culprit);
    if (this.#mayGoOn(culprit, 2)) this.#add(culprit, "shardLost", lostAtMs, { kind: "shardLost" }, untilMs);
    else this.#giveUp(culprit, { kind: "shardLost" });
  }

  /** Its actor has let go of it for another one. */
  handedOver(call: LiveCall): void {
    this.#add(call, "moved", this.#deps.clock.nowMs(), { kind: "shardLost" }, NOW);
  }

  /** A slot may be had now. */
  onShardReady(): void {
    this.#round += 1;
    this.#schedule();
  }

  /** Its leg is gone: true when nobody owned the call, so that nobody else writes of it. */
  forget(call: LiveCall): boolean {
    this.#waiting.get(call)?.timer?.cancel();
    const hadNobody = this.#waiting.delete(call);
    if (this.#waiting.size === 0) this.#stopLooking();
    return hadNobody;
  }

  /** Moves the shard's calls to others, each when nobody notices; then it starts afresh. Null: it does not serve. */
  drainShard(shardId: number): { readonly callCount: number } | null {
    const { clock, log } = this.#deps;
    const pool = this.#deps.pool();
    const isShard = pool.stats().some((shard) => shard.shardId === shardId && shard.role !== "draining");
    if (!isShard || !pool.drainShard(shardId)) return null;
    const deadlineAtMs = clock.nowMs() + DRAIN_WITHIN_MS;
    let callCount = 0;
    const asked = new WeakSet<SlotLease>();
    const look = (): number => {
      const left = Array.from(this.#deps.calls).filter(({ lease }) => lease.shardId === shardId);
      // Without room elsewhere a call would only move to where it is, and again at the next look.
      let room = roomBeside(pool, shardId) - left.filter(({ lease }) => asked.has(lease)).length;
      for (const call of left) {
        // One that is still waiting for its media socket is asked when it has come.
        if (call.state !== "open" || asked.has(call.lease) || room <= 0) continue;
        room -= 1;
        asked.add(call.lease);
        pool.endCall(call.lease, { kind: "handedOver" });
      }
      return left.length;
    };
    const again = (): void => {
      const left = look();
      const isOver = clock.nowMs() >= deadlineAtMs;
      if ((left === 0 || isOver) && pool.endShardDrain(shardId, isOver)) {
        this.#drains.delete(shardId);
        return log.info({ shardId, left }, "shard drained");
      }
      this.#drains.set(shardId, clock.setTimer(DRAIN_LOOK_MS, again));
    };
    callCount = look();
    this.#drains.set(shardId, clock.setTimer(DRAIN_LOOK_MS, again));
    log.info({ shardId, callCount }, "shard drains");
    return { callCount };
  }

  /** No timer is left. */
  close(): void {
    for (const call of this.#waiting.keys()) this.forget(call);
    for (const timer of this.#drains.values()) timer.cancel();
    this.#drains.clear();
  }

  #mayGoOn(call: LiveCall, cost: number): boolean {
    let budget = this.#crashes.get(call);
    if (budget === undefined) this.#crashes.set(call, (budget = new RestartBudget(CRASHES)));
    const nowMs = this.#deps.clock.nowMs();
    let granted = true;
    for (let taken = 0; taken < cost; taken += 1) granted = budget.tryTake(nowMs) && granted;
    return granted;
  }

  /** One that waits for nothing goes at once; of many those that come after `untilMs` in slices (V4). */
  #add(call: LiveCall, reason: ResumeReason, lostAtMs: number, outcome: CallOutcome, untilMs: number): void {
    call.state = "recovering";
    const waiting: Waiting = { call, reason, lostAtMs, outcome, triedInRound: -1, timer: null };
    this.#waiting.set(call, waiting);
    const mayGoNow = !this.#isScheduled && this.#deps.clock.nowMs() < untilMs;
    if (!mayGoNow || !this.#tryTakeOver(waiting)) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#runSlice();
    });
  }

  /** V4 */
  #runSlice(): void {
    const { clock } = this.#deps;
    const untilMs = clock.nowMs() + SLICE_MS;
    for (const waiting of this.#waiting.values()) {
      // Where one finds no slot the next may have one of its own.
      if (waiting.triedInRound === this.#round) continue;
      if (clock.nowMs() >= untilMs) return this.#schedule();
      this.#tryTakeOver(waiting);
    }
    this.#waitForRoom();
  }

  /** There is no slot for any of those that are left: until a shard comes up, or somebody gives one back. */
  #waitForRoom(): void {
    const { clock } = this.#deps;
    const isHopeless = !this.#deps.pool().hasProspect;
    for (const waiting of this.#waiting.values()) {
      if (isHopeless) this.#giveUp(waiting.call, waiting.outcome);
      else
        waiting.timer ??= clock.setTimer(WAIT_FOR_SHARD_MS, () =>
          this.#giveUp(waiting.call, waiting.outcome),
        );
    }
    if (this.#waiting.size === 0) return;
    this.#look ??= clock.setTimer(ROOM_LOOK_MS, () => {
      this.#look = null;
      if (this.#deps.pool().hasRoomAgain) this.onShardReady();
      else this.#waitForRoom();
    });
  }

  #stopLooking(): void {
    this.#look?.cancel();
    this.#look = null;
  }

  /** V5. False: there is no slot now. */
  #tryTakeOver(waiting: Waiting): boolean {
    waiting.triedInRound = this.#round; // before: a shard that gets ready meanwhile begins another
    try {
      return this.#takeOver(waiting);
    } catch (error) {
      this.#deps.log.error({ err: error, callId: waiting.call.callId }, "taking over a call threw");
      this.#giveUp(waiting.call, waiting.outcome);
      return true;
    }
  }

  /** False: there is no slot now. */
  #takeOver(waiting: Waiting): boolean {
    const { call, reason, lostAtMs } = waiting;
    const { clock, journals, calls, log, metrics, nodeId } = this.#deps;
    const pool = this.#deps.pool();
    const edge = this.#deps.edge();
    const journal = journals.whole(call.callId);
    if (journal === null || call.format === null) {
      log.error({ callId: call.callId }, "a call without its whole journal cannot be gone on with"); // V2
      this.#giveUp(call, waiting.outcome);
      return true;
    }
    // A slot of its own shard is free only once this one is given back; one of another must be had before.
    // Nor is one that had closed it before it died: an actor that crashed, with the shard behind it.
    const isShardGone = pool.isGone(call.lease);
    const elsewhere = isShardGone ? pool.reserveAgain(call.lease.shardId) : null;
    if (isShardGone && elsewhere === null) return false;
    const rest = edge.takeRest(call.callId, untoldAudio(journal, call.epoch));
    // The leg is ending, and legEnded tells; or has ended just now, since its socket did not take the `clear`.
    if (rest === null || !this.#waiting.has(call)) {
      if (elsewhere !== null) pool.release(elsewhere);
      this.forget(call);
      return true;
    }
    const { shardId } = call.lease;
    pool.release(call.lease);
    const lease = elsewhere ?? pool.reserveAgain(shardId);
    if (lease === null) {
      this.#giveUp(call, waiting.outcome); // its rings are taken apart already
      return true;
    }
    this.forget(call);
    calls.move(call, lease);
    call.tenure += 1;
    this.#deps.onTakenOver(call); // V1
    edge.rebind(call.callId, lease.side, () => lease.ringShard(), rest);
    const nowMs = clock.nowMs();
    const { callId, carrier, carrierCallId, tenantId, epoch, tenure, webhookAtMs, format, pii } = call;
    const gapMs = Math.max(0, nowMs - lostAtMs);
    const { held: _held, replay, ...playing } = rest;
    const resumed: CallStart["resumed"] = { gapMs, journal: [...journal], playing, replay, reason };
    const about = { callId, carrier, carrierCallId, tenantId, epoch, tenure, nodeId, pii };
    call.state = "open";
    call.tenant = this.#deps.tenantOf(tenantId) ?? null;
    pool.open(lease, { ...about, format, webhookAtMs, openedAtMs: nowMs, resumed });
    if (call.ending !== null) pool.endCall(lease, call.ending); // V6
    metrics.callTakeovers.inc({ reason });
    log.info({ callId, tenure, reason, shardId: lease.shardId, gapMs }, "call goes on with another actor");
    return true;
  }

  #giveUp(call: LiveCall, outcome: CallOutcome): void {
    this.forget(call);
    this.#deps.onGivenUp(call, outcome);
  }
}

/** Slots that calls of a shard that is drained may have. */
function roomBeside(pool: ShardPool, shardId: number): number {
  return pool
    .stats()
    .filter((shard) => shard.shardId !== shardId && shard.role !== "draining")
    .reduce((free, shard) => free + shard.free, 0);
}
