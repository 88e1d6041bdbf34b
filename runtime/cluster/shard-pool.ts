/**
 * The shards of a node: where a call is placed, and what of a shard's life the edge has to know.
 *
 * P1 a reservation is counted at once; the least loaded shard that can serve gets the next call.
 * P2 each lease that was not closed when its shard died is reported by onShardLost exactly once, whatever
 *    it was raced by: reserve, open, release or close.
 * P3 no delegate's error keeps another message from being handled.
 * P4 the spare and a shard that is drained get no new calls; calls that lost their shard may go to the spare. When a
 *    shard dies the spare serves in its place before anybody hears of the death, and the restarted one is the spare.
 */
import assert from "node:assert/strict";
import type { TimerHandle } from "#runtime/actor";
import { fromWire } from "#runtime/errors";
import { NapFlag } from "#runtime/media";
import type { CallOutcome, CallStart } from "./call-start.js";
import type { ShardItem } from "./messages.js";
import { type ResolvedShardPoolOptions, type ShardPoolOptions, resolveShardPoolOptions } from "./options.js";
import { type LastOfShard, ShardHost, type ShardStats } from "./shard-host.js";
import type { ShardLossReason } from "./shard-incarnation.js";
import type { SlotLease } from "./slot-lease.js";
import { SlotTable } from "./slot-table.js";

/** What the pool tells the node. All of it on the main thread, from an event, never from inside a call of ours. */
export interface ShardPoolDelegate {
  /** Some out-ring of this shard has something to send: see drainOutBell. */
  onWake(shardId: number): void;
  /** What the shard's handler emitted, in order. */
  onEvent(shardId: number, event: unknown): void;
  /** The agent wants the leg ended. */
  onHangUp(lease: SlotLease): void;
  /** The shard has finished with the call. Once per lease that was opened, unless the shard is lost. */
  onCallClosed(lease: SlotLease, outcome: CallOutcome): void;
  /** The shard is dead; these leases, reserved or open, died with it. May be none. */
  onShardLost(
    shardId: number,
    leases: readonly SlotLease[],
    reason: ShardLossReason,
    last: LastOfShard,
  ): void;
  /** The shard can serve, for the first time or again. */
  onShardReady(shardId: number): void;
}

/** What became of one shard's share of askAll. */
export type ShardAnswer =
  | { readonly shardId: number; readonly ok: true; readonly value: unknown }
  | { readonly shardId: number; readonly ok: false; readonly error: Error };

export interface ShardPoolReadiness {
  /** False: send calls elsewhere. What runs goes on, and reserve() still places what comes. */
  readonly ready: boolean;
  readonly reason: string;
}

export class ShardPool {
  readonly #options: ResolvedShardPoolOptions;
  readonly #delegate: ShardPoolDelegate;
  readonly #hosts: readonly ShardHost[];
  /** Where the shards look before they wake the main thread: for its loop to say that it naps. */
  readonly edgeNap: NapFlag;
  #watchdog: TimerHandle | null = null;
  #draining = false;
  #closed = false;
  /** Where the search for the least loaded begins: equals take turns. */
  #nextShard = 0;
  /** P4 */
  #spare: ShardHost | null;
  readonly #drained = new Set<ShardHost>();

  constructor(options: ShardPoolOptions, delegate: ShardPoolDelegate) {
    this.#options = resolveShardPoolOptions(options);
    this.#delegate = delegate;
    this.edgeNap = new NapFlag();
    const events = {
      onReady: (shardId: number) => this.#tell(() => this.#delegate.onShardReady(shardId)),
      onWake: (shardId: number) => this.#tell(() => this.#delegate.onWake(shardId)),
      onItem: (shardId: number, item: ShardItem) => this.#tell(() => this.#handleItem(shardId, item)),
      onLost: (shardId: number, leases: readonly SlotLease[], reason: ShardLossReason, last: LastOfShard) => {
        this.#standIn(this.#host(shardId));
        this.#tell(() => this.#delegate.onShardLost(shardId, leases, reason, last));
      },
      hasStandIn: (shardId: number) =>
        this.#spare !== null &&
        this.#hosts.some((host) => host.shardId !== shardId && host.readySlots !== null),
    };
    this.#hosts = Array.from(
      { length: this.#options.shardCount + (this.#options.spare ? 1 : 0) },
      (_, shardId) => new ShardHost(shardId, this.#options, this.edgeNap, events),
    );
    this.#spare = this.#options.spare ? this.#hosts.at(-1)! : null;
  }

  /**
   * Resolves when every shard is ready. Rejects with SHARD_START_FAILED when one does not come up at the
   * first attempt (a fault of code or configuration: it stops the node); no thread is left then.
   */
  async start(): Promise<void> {
    try {
      const spare = this.#spare;
      await Promise.all(this.#hosts.filter((host) => host !== spare).map((host) => host.start()));
      // Calls need not wait for it.
      spare?.start().catch((error: unknown) => this.#options.log.error({ err: error }, "there is no spare"));
    } catch (error) {
      await this.close();
      throw error;
    }
    if (!this.#closed) this.#scheduleLook();
  }

  /** A whole snapshot, structured-clonable; sent to all shards now, and to those started later. */
  configure(config: unknown): void {
    // A copy: what a shard gets when it is restarted is what was configured, whatever became of the object.
    const snapshot: unknown = structuredClone(config);
    for (const host of this.#hosts) host.configure(snapshot);
  }

  /** The node's rung of backpressure, 0 to 4; the shards see it at once, without a message. */
  setPressure(rung: number): void {
    for (const host of this.#hosts) host.setPressure(rung);
  }

  /** A slot for one call; null when there is none, or when draining. */
  reserve(): SlotLease | null {
    if (this.#draining) return null;
    return this.#leastLoaded((host) => host !== this.#spare);
  }

  /**
   * A slot for a call that lost its actor, also while the pool drains: in `shardId` where it was, unless that one is
   * drained or gone; then wherever there is room, the spare included, and rather in a drained shard than nowhere. Null for a
   * call that lost its leg, and was in none. Null when there is no slot.
   */
  reserveAgain(shardId: number | null): SlotLease | null {
    const home = shardId === null ? null : this.#host(shardId);
    const here = (): SlotLease | null => home?.readySlots?.reserve() ?? null;
    return (
      (home === null || this.#drained.has(home) ? null : here()) ??
      this.#leastLoaded((host) => host !== this.#spare) ??
      this.#leastLoaded(() => true) ??
      here() ??
      this.#hosts.find(hasRoom)?.readySlots?.reserve() ??
      null
    );
  }

  /** Whether `reserve` has a slot. */
  get hasRoom(): boolean {
    return !this.#draining && this.#hosts.some((host) => this.#isServing(host) && hasRoom(host));
  }

  /** Whether `reserveAgain` has a slot. */
  get hasRoomAgain(): boolean {
    return this.#hosts.some(hasRoom);
  }

  /** Whether its shard is gone, also when it had finished with the slot before: no other slot is to be had beside it. */
  isGone(lease: SlotLease): boolean {
    return this.#host(lease.shardId).readySlots !== SlotTable.of(lease);
  }

  /** Whether some shard serves, or will. */
  get hasProspect(): boolean {
    return this.#hosts.some(({ state }) => state === "ready" || state === "starting" || state === "backoff");
  }

  /** No more calls come to this shard. False: it does not serve. */
  drainShard(shardId: number): boolean {
    const host = this.#host(shardId);
    if (host.readySlots === null) return false;
    this.#drained.add(host);
    this.#standIn(host);
    return true;
  }

  /**
   * A drained shard starts afresh when nobody holds a slot of it. False: somebody does, be it for another tick, and
   * it stays drained; unless its drain `mustEnd`, when it serves again as it is.
   */
  endShardDrain(shardId: number, mustEnd = false): boolean {
    const host = this.#host(shardId);
    if (!host.recycle() && host.readySlots !== null && !mustEnd) return false;
    this.#drained.delete(host);
    return true;
  }

  /** P4 */
  #standIn(host: ShardHost): void {
    if (this.#spare !== null && this.#spare !== host && this.#spare.readySlots !== null) this.#spare = host;
  }

  #leastLoaded(may: (host: ShardHost) => boolean): SlotLease | null {
    let best: ShardHost | null = null;
    let bestLive = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#hosts.length; i++) {
      const host = this.#hosts[(this.#nextShard + i) % this.#hosts.length]!;
      const slots = host.readySlots;
      if (!may(host) || this.#drained.has(host)) continue;
      if (slots === null || slots.freeCount === 0 || slots.liveCount >= bestLive) continue;
      best = host;
      bestLive = slots.liveCount;
    }
    if (best === null) return null;
    this.#nextShard = (best.shardId + 1) % this.#hosts.length;
    return best.readySlots!.reserve();
  }

  /**
   * Tells the shard that the call's media socket has opened. False when the lease was lost before: nothing
   * happens, onShardLost has said so. A shard that dies before it has read of the call loses the lease.
   */
  open(lease: SlotLease, start: CallStart): boolean {
    return this.#host(lease.shardId).open(lease, start);
  }

  /**
   * Asks the shard to end one call: after a goodbye, at once and without a word when the outcome is `leaseLost`, or
   * for another actor to go on when it is `handedOver`. onCallClosed tells when it is over. False when it is not open (any more): reserved, closed
   * or lost; nothing happens then.
   */
  endCall(lease: SlotLease, outcome: CallOutcome): boolean {
    return this.#host(lease.shardId).endCall(lease, outcome);
  }

  /**
   * The edge is done with the slot and will not touch its rings again. It is reused once the shard is done
   * with it too. Idempotent; in any state.
   */
  release(lease: SlotLease): void {
    SlotTable.of(lease).release(lease);
  }

  /**
   * Asks the shard's handler. Rejects with SHARD_ASK_TIMEOUT after `deadlineMs`, SHARD_LOST when it is not
   * ready or dies first, SHARD_ASKS_FULL when too many wait, and with the handler's own error, code kept.
   */
  ask(shardId: number, topic: string, payload: unknown, deadlineMs: number): Promise<unknown> {
    return this.#host(shardId).ask(topic, payload, deadlineMs);
  }

  /**
   * Asks every shard; one answer each, told as it comes: of a shard that dies while the others are waited for, before
   * its death is. Resolves after the last. Rejects with what `onAnswer` throws alone.
   */
  async askAll(
    topic: string,
    payload: unknown,
    deadlineMs: number,
    onAnswer: (answer: ShardAnswer) => void,
  ): Promise<void> {
    await Promise.all(
      this.#hosts.map(({ shardId }) =>
        this.ask(shardId, topic, payload, deadlineMs).then(
          (value) => onAnswer({ shardId, ok: true, value }),
          (error: Error) => onAnswer({ shardId, ok: false, error }),
        ),
      ),
    );
  }

  /**
   * No new calls: reserve() gives none, and the shards hear until when (Clock.nowMs()) those that run may
   * go on. A shard that dies from now on is not replaced. Idempotent.
   */
  beginDrain(deadlineAtMs: number): void {
    if (this.#draining) return;
    this.#draining = true;
    for (const host of this.#hosts) host.beginDrain(deadlineAtMs);
  }

  /** Stops every shard, by force after closeGraceMs; leases still held are lost. Resolves when no thread is left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#draining = true;
    this.#watchdog?.cancel();
    await Promise.all(this.#hosts.map((host) => host.close()));
  }

  /**
   * Visits the leases of a shard whose out-rings were written since the last drain; may visit one that has
   * nothing. Make `visit` once: this runs per wake-up.
   */
  drainOutBell(shardId: number, visit: (lease: SlotLease) => void): number {
    return this.#host(shardId).slots?.drainOutBell(visit) ?? 0;
  }

  /** drainOutBell of every shard. */
  drainOutBells(visit: (lease: SlotLease) => void): void {
    for (const host of this.#hosts) host.slots?.drainOutBell(visit);
  }

  /** Wakes the shards whose in-rings were written since; each would else look within its poll. */
  wakeRung(): void {
    for (const host of this.#hosts) host.wakeIfRung();
  }

  readiness(): ShardPoolReadiness {
    if (this.#draining) return { ready: false, reason: "draining" };
    const failed = this.#hosts.filter((host) => host.state === "failed").map((host) => host.shardId);
    if (failed.length > 0) return { ready: false, reason: `given up on shard ${failed.join(", ")}` };
    if (this.#hosts.every((host) => host.readySlots === null)) {
      return { ready: false, reason: "no shard is ready" };
    }
    if (!this.#hosts.some((host) => this.#isServing(host) && host.readySlots !== null)) {
      return { ready: false, reason: "no shard that is ready takes new calls" };
    }
    return { ready: true, reason: "ready" };
  }

  stats(): readonly ShardStats[] {
    return this.#hosts.map((host) =>
      host.stats(this.#drained.has(host) ? "draining" : host === this.#spare ? "spare" : "serving"),
    );
  }

  /** P4. New calls may be its. */
  #isServing(host: ShardHost): boolean {
    return host !== this.#spare && !this.#drained.has(host);
  }

  #host(shardId: number): ShardHost {
    const host = this.#hosts[shardId];
    assert(host !== undefined, `there is no shard ${shardId}`);
    return host;
  }

  #scheduleLook(): void {
    this.#watchdog = this.#options.clock.setTimer(this.#options.watchdog.lookEveryMs, () => {
      this.#scheduleLook();
      for (const host of this.#hosts) host.look();
    });
  }

  #handleItem(shardId: number, item: ShardItem): void {
    const host = this.#host(shardId);
    switch (item.kind) {
      case "event":
        this.#delegate.onEvent(shardId, item.event);
        return;
      case "hangUp": {
        const lease = host.slots?.find(item.slot, item.generation) ?? null;
        if (lease?.state === "open") this.#delegate.onHangUp(lease);
        return;
      }
      case "callClosed": {
        const lease = host.slots?.markClosed(item.slot, item.generation) ?? null;
        if (lease !== null) this.#delegate.onCallClosed(lease, item.outcome);
        return;
      }
      case "callRefused": {
        const { slot } = item;
        this.#options.log.error({ shardId, slot, err: fromWire(item.error) }, "shard refused a call");
        const lease = host.slots?.markClosed(item.slot, item.generation) ?? null;
        if (lease === null) return;
        this.#delegate.onCallClosed(lease, { kind: "actorCrashed", code: item.error.code });
        return;
      }
      case "fault":
        this.#options.log.error({ shardId, err: fromWire(item.error) }, item.what);
        return;
    }
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#options.log.error({ err: error }, "the shard pool's delegate failed");
    }
  }
}

function hasRoom({ readySlots }: ShardHost): boolean {
  return readySlots !== null && readySlots.freeCount > 0;
}
