/**
 * A shard's thread in a simulated node: the real call shard over a real arena, in time of its own that can be late, stand
 * still and end. What ShardRuntime does with messages and ticks is done here; what waits for a main thread that is behind
 * waits in the real outbox. To the pool it looks like the worker that it would start.
 *
 * H1 what a shard posts reaches the main thread in order; what it had not posted when it died is gone.
 * H2 the main thread hears of its end after all that it had posted, unless it was terminated: then of the end alone.
 */
import { type CallShardParts, createCallShard } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import {
  type CallOutcome,
  type FromShard,
  Heartbeat,
  type OutboxBounds,
  type ShardBoot,
  type ShardContext,
  type ShardHandler,
  type ShardItem,
  ShardOutbox,
  type ShardThread,
  type ThreadCpu,
  type ToShard,
} from "#runtime/cluster";
import type { Random } from "#runtime/actor";
import { Arena, type ShardSlot } from "#runtime/media";
import { toWire } from "#runtime/errors";
import type { VendorFault } from "./script.js";
import type { SimNetwork } from "./sim-network.js";
import { SimThread, type SimTime } from "./sim-time.js";

/** A message between threads. */
const POST_MS = 2;
/** Loading the code. */
const LOAD_MS = [20, 250] as const;

export interface SimShardOptions {
  readonly time: SimTime;
  /** As the operating system counts threads. */
  readonly threadId: number;
  readonly outbox: OutboxBounds;
  readonly network: SimNetwork;
  readonly parts: CallShardParts;
  /** In the main thread's time, in order. */
  readonly toMain: (delayMs: number, body: () => void) => void;
  readonly events: SimShardEvents;
}

export interface SimShardEvents {
  /** A call begins on this side of its rings. */
  onOpened(leg: ShardSlot): void;
  /** Something was thrown that nobody caught: the thread is dead. */
  onThrew(error: unknown): void;
  /** In the shard's own time, at the instant of writing. */
  onWritten(event: JournalEvent): void;
  /** An injected fault, or a main thread that was too far behind, kept it from being written. */
  onJournalLost(event: JournalEvent): void;
  /** It has given back all that it had, and ends now; its timers are forgotten with it. */
  onStopped(timersLeft: number): void;
  /** The end of a tick, when every call has done what it had to. */
  onTicked(): void;
}

export class SimShard implements ShardThread, ShardContext {
  readonly shardId: number;
  readonly threadId: number;
  readonly workerData: unknown;
  readonly clock: SimThread;
  readonly random: Random;
  readonly arena: Arena;
  readonly #options: SimShardOptions;
  readonly #boot: ShardBoot;
  readonly #heartbeat: Heartbeat;
  readonly #outbox: ShardOutbox;
  readonly #generations: Float64Array;
  readonly #slots = new Map<string, number>();
  readonly #visit = (slot: number): void => {
    if (this.#generations[slot] !== 0) this.#running().ringsReady(slot);
  };
  readonly #onTick = (): void => this.#tick();
  #onMessage: (message: FromShard) => void = () => {};
  #onError: (error: Error) => void = () => {};
  #onExit: (code: number) => void = () => {};
  #handler: ShardHandler | null = null;
  /** Throws once, where the journal is written, for this call. */
  journalCrash: string | null = null;
  #isTickDue = false;
  #isOver = false;
  #wasTerminated = false;
  /** Since when it runs in a loop; what it ran before does not matter. */
  #spinsSinceMs: number | null = null;

  constructor(boot: ShardBoot, options: SimShardOptions) {
    const { time, network, outbox } = options;
    this.#options = options;
    this.#boot = boot;
    this.shardId = boot.shardId;
    this.threadId = options.threadId;
    this.workerData = boot.workerData;
    this.clock = new SimThread(time, (error) => this.#threw(error));
    network.thread = this.clock;
    this.random = time.random;
    this.arena = Arena.attach(boot.arenaBuffer);
    this.#heartbeat = new Heartbeat(boot.heartbeatBuffer);
    this.#heartbeat.tellThread(options.threadId);
    const port = { postMessage: (message: FromShard) => this.#toMain(message) };
    this.#outbox = new ShardOutbox(port, this.#heartbeat, outbox);
    this.#generations = new Float64Array(this.arena.slotCount);
    this.clock.after(time.between(...LOAD_MS), () => void this.#run());
    this.#beatLater();
  }

  // ---- what the main thread does with a worker

  on(event: string, listener: (value: never) => void): this {
    if (event === "message") this.#onMessage = listener as (message: FromShard) => void;
    if (event === "error") this.#onError = listener as (error: Error) => void;
    if (event === "exit") this.#onExit = listener as (code: number) => void;
    return this;
  }

  postMessage(message: ToShard): void {
    // The ring of a bell: a shard with calls looks every few milliseconds.
    if (message === null) return this.tickSoon();
    const copy = structuredClone(message);
    this.clock.after(this.#options.time.between(0, POST_MS), () => this.#receive(copy));
  }

  terminate(): void {
    this.#wasTerminated = true;
    this.#end(1);
  }

  // ---- what befalls it

  /** It ends by itself, with what it had to say or without. */
  exit(posts: boolean): void {
    if (posts) this.#outbox.flush();
    this.#end(1);
  }

  /** The process is gone, and nobody is there to hear of it. */
  vanish(): void {
    this.#isOver = true;
    this.clock.die();
    this.#options.network.drop();
  }

  /** In a call's code, or in none's, it goes on and on, or waits, for so long. */
  standStill(ms: number, callId: string | null, isSpinning: boolean): void {
    if (callId !== null) this.#heartbeat.enter(this.#generations[this.#slots.get(callId)!]!);
    this.#spinsSinceMs = isSpinning ? this.clock.nowMs() : null;
    this.clock.hold(ms);
    this.clock.after(0, () => {
      this.#spinsSinceMs = null;
      this.#heartbeat.leave();
    });
  }

  breakVendors(kind: VendorFault["vendor"] | null): void {
    if (!this.#isOver) this.#options.network.breakAll(kind);
  }

  /** As the operating system tells it: of a thread that does not spin, that it waits. */
  cpu(): ThreadCpu {
    const sinceMs = this.#spinsSinceMs;
    if (sinceMs === null) return { ranMs: 1, isRunnable: false };
    return { ranMs: 1 + this.clock.nowMs() - sinceMs, isRunnable: true };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Null: the call is not here. */
  legOf(callId: string): ShardSlot | null {
    const slot = this.#slots.get(callId);
    return slot === undefined ? null : this.arena.shardSide(slot);
  }

  /** The in-bell was rung: the shard looks at its next tick. */
  tickSoon(): void {
    if (this.#isTickDue || this.#slots.size === 0) return;
    this.#isTickDue = true;
    this.clock.after(this.#options.time.between(1, this.#boot.pollMs), this.#onTick);
  }

  // ---- ShardContext

  emit(event: unknown): boolean {
    const told = event as { readonly kind: string; readonly event: JournalEvent };
    const { events } = this.#options;
    if (told.kind !== "journal") return this.#post({ kind: "event", event });
    if (this.journalCrash === told.event.callId) {
      this.journalCrash = null;
      events.onJournalLost(told.event);
      throw new Error("injected: the journal throws");
    }
    const wasTaken = this.#post({ kind: "event", event });
    if (wasTaken) events.onWritten(told.event);
    else events.onJournalLost(told.event);
    return wasTaken;
  }

  callClosed(slot: number, outcome: CallOutcome): void {
    const generation = this.#generationOf(slot);
    this.#forget(slot);
    this.#post({ kind: "callClosed", slot, generation, outcome });
  }

  hangUp(slot: number): void {
    this.#post({ kind: "hangUp", slot, generation: this.#generationOf(slot) });
  }

  pressure(): number {
    return this.#heartbeat.pressure();
  }

  enter(slot: number): void {
    this.#heartbeat.enter(this.#generations[slot]!);
  }

  leave(): void {
    this.#heartbeat.leave();
  }

  wakeEdge(slot: number): void {
    if (!this.arena.outBell.ring(slot)) return;
    this.#options.toMain(0, () => this.#tell(null));
  }

  // ---- its loop

  async #run(): Promise<void> {
    try {
      const { parts, network } = this.#options;
      const handler = createCallShard(this, { ...parts, network });
      this.#handler = handler;
      await handler.start();
      if (this.#boot.config !== null) await handler.configure(this.#boot.config.value);
    } catch (error) {
      return this.#threw(error);
    }
    if (!this.clock.isDead) this.#toMain({ kind: "ready" });
  }

  #receive(message: Exclude<ToShard, null>): void {
    switch (message.kind) {
      case "openCall": {
        const { slot, generation, start } = message;
        this.#generations[slot] = generation;
        this.#slots.set(start.callId, slot);
        const leg = this.arena.shardSide(slot);
        this.#options.events.onOpened(leg);
        try {
          this.#running().openCall(slot, leg, start);
        } catch (error) {
          this.#forget(slot);
          this.#post({ kind: "callRefused", slot, generation, error: toWire(error) });
          return;
        }
        // Audio may have come, and its bell been drained, before this message.
        this.#visit(slot);
        return this.tickSoon();
      }
      case "endCall":
        if (this.#generations[message.slot] !== message.generation) return;
        this.#running().endCall(message.slot, message.outcome);
        return this.tickSoon();
      case "configure":
        return void this.#running().configure(message.config);
      case "ask":
        return void this.#answer(message.id, message.topic, message.payload);
      case "beginDrain":
        return this.#running().beginDrain(message.deadlineAtMs);
      case "stop":
        return void this.#stop();
    }
  }

  async #answer(id: number, topic: string, payload: unknown): Promise<void> {
    const value = await this.#running().ask(topic, payload);
    this.#toMain({ kind: "answer", id, result: { ok: true, value } });
  }

  async #stop(): Promise<void> {
    await this.#handler?.stop();
    this.#options.events.onStopped(this.clock.timerCount);
    this.#outbox.flush();
    this.#end(0);
  }

  #tick(): void {
    this.#isTickDue = false;
    this.#heartbeat.beat(this.clock.nowMs());
    this.arena.inBell.drain(this.#visit);
    this.#handler?.afterTick?.(this.clock.nowMs());
    this.#options.events.onTicked();
    this.#outbox.flush();
  }

  #beatLater(): void {
    this.clock.after(this.#boot.heartbeatMs, () => {
      if (this.#slots.size > 0) this.#tick();
      this.#heartbeat.beat(this.clock.nowMs());
      this.#outbox.flush();
      this.#beatLater();
    });
  }

  #post(item: ShardItem): boolean {
    if (this.clock.isDead) return true; // nobody is there to be told of it
    this.tickSoon();
    return this.#outbox.add(item);
  }

  /** H1 */
  #toMain(message: FromShard): void {
    if (this.#isOver) return;
    this.#options.toMain(POST_MS, () => this.#tell(message));
  }

  #tell(message: FromShard): void {
    if (!this.#wasTerminated) this.#onMessage(message);
  }

  #threw(error: unknown): void {
    if (this.#isOver) return;
    this.#options.events.onThrew(error);
    this.#outbox.flush();
    this.#options.toMain(POST_MS, () =>
      this.#onError(error instanceof Error ? error : new Error(String(error))),
    );
    this.#end(1);
  }

  /** H2 */
  #end(code: number): void {
    if (this.#isOver) return;
    this.vanish();
    this.#options.toMain(POST_MS, () => this.#onExit(code));
  }

  #forget(slot: number): void {
    this.#generations[slot] = 0;
    for (const [callId, of] of this.#slots) if (of === slot) this.#slots.delete(callId);
  }

  #generationOf(slot: number): number {
    const generation = this.#generations[slot]!;
    if (generation === 0) throw new Error(`there is no call on slot ${slot}`);
    return generation;
  }

  #running(): ShardHandler {
    if (this.#handler === null) throw new Error("the shard has not started");
    return this.#handler;
  }
}
