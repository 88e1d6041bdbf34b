/**
 * A shard of a simulated node: the real call shard over a real arena, on a thread of its own that can be late, stand still
 * and die. What ShardRuntime does with messages and ticks is done here in virtual time.
 *
 * H1 what a shard posts reaches the main thread in order; what it had not posted when it died is gone.
 */
import { type CallShardConfig, type CallShardParts, createCallShard } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import type { CallOutcome, CallStart, ShardContext, ShardHandler } from "#runtime/cluster";
import { SlotTable } from "#runtime/cluster";
import type { Random } from "#runtime/actor";
import { Arena, type ShardSlot } from "#runtime/media";
import type { SimNetwork } from "./sim-network.js";
import { SimThread, type SimTime } from "./sim-time.js";

const TICK_MS = 5;
/** A message between threads. */
const POST_MS = 2;

export interface SimShardOptions {
  readonly time: SimTime;
  readonly shardId: number;
  readonly arena: {
    readonly slotCount: number;
    readonly inRecordCount: number;
    readonly outRecordCount: number;
  };
  readonly workerData: unknown;
  readonly config: CallShardConfig;
  readonly nextGeneration: () => number;
  readonly network: SimNetwork;
  readonly parts: CallShardParts;
  /** In the main thread's time, in order. */
  readonly toMain: (delayMs: number, body: () => void) => void;
  readonly events: SimShardEvents;
}

export interface SimShardEvents {
  onReady(shard: SimShard): void;
  onWake(shard: SimShard): void;
  onEvent(event: unknown): void;
  onClosed(shard: SimShard, slot: number, generation: number, outcome: CallOutcome): void;
  onHangUp(shard: SimShard, slot: number, generation: number): void;
  /** Something was thrown that nobody caught: the thread is dead. */
  onDead(shard: SimShard, error: unknown): void;
  /** In the shard's own time, at the instant of writing. */
  onWritten(event: JournalEvent): void;
  /** An injected fault kept it from being written. */
  onJournalLost(event: JournalEvent): void;
  /** The end of a tick, when every call has done what it had to. */
  onTicked(): void;
}

export class SimShard implements ShardContext {
  readonly shardId: number;
  readonly workerData: unknown;
  readonly clock: SimThread;
  readonly random: Random;
  readonly arena: Arena;
  readonly slots: SlotTable;
  readonly #options: SimShardOptions;
  readonly #handler: ShardHandler;
  readonly #generations: Float64Array;
  readonly #visit = (slot: number): void => {
    if (this.#generations[slot] !== 0) this.#handler.ringsReady(slot);
  };
  /** Throws once, where the journal is written, for this call. */
  journalCrash: string | null = null;
  isReady = false;
  #isTickDue = false;
  #outbox: (() => void)[] = [];

  constructor(options: SimShardOptions) {
    const { time, arena, shardId, nextGeneration } = options;
    this.#options = options;
    this.shardId = shardId;
    this.workerData = options.workerData;
    this.clock = new SimThread(time, (error) => this.#die(error));
    options.network.thread = this.clock;
    this.random = time.random;
    this.arena = Arena.create(arena);
    this.slots = new SlotTable(shardId, this.arena, nextGeneration);
    this.#generations = new Float64Array(arena.slotCount);
    this.#handler = createCallShard(this, { ...options.parts, network: options.network });
  }

  async start(): Promise<void> {
    await this.#handler.start();
    await this.#handler.configure(this.#options.config);
    if (this.clock.isDead) return;
    this.isReady = true;
    this.#options.toMain(POST_MS, () => this.#options.events.onReady(this));
  }

  async stop(): Promise<void> {
    await this.#handler.stop();
  }

  // ---- from the main thread

  open(slot: number, generation: number, start: CallStart): void {
    this.#receive(() => {
      this.#generations[slot] = generation;
      this.#handler.openCall(slot, this.legOf(slot), start);
      // Audio may have come, and its bell been drained, before this message.
      this.#visit(slot);
      this.tickSoon();
    });
  }

  endCall(slot: number, generation: number, outcome: CallOutcome): void {
    this.#receive(() => {
      if (this.#generations[slot] !== generation) return;
      this.#handler.endCall(slot, outcome);
      this.tickSoon();
    });
  }

  legOf(slot: number): ShardSlot {
    return this.arena.shardSide(slot);
  }

  /** The in-bell was rung: the shard looks at its next tick. */
  tickSoon(): void {
    if (this.#isTickDue || this.clock.isDead) return;
    this.#isTickDue = true;
    this.clock.after(this.#options.time.between(1, TICK_MS), () => this.#tick());
  }

  /** `posts`: it ended by itself, and what it had to say is posted; else it was terminated. */
  kill(posts: boolean): void {
    if (posts) this.#flush();
    this.clock.die();
    this.#options.network.drop();
    this.#outbox = [];
  }

  ask(topic: string, payload: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.clock.isDead) reject(new Error("the shard is gone"));
      this.#receive(() => resolve(this.#handler.ask(topic, payload)));
    });
  }

  // ---- ShardContext

  emit(event: unknown): boolean {
    const told = event as { readonly kind: string; readonly event: JournalEvent };
    if (told.kind === "journal") {
      if (this.journalCrash === told.event.callId) {
        this.journalCrash = null;
        this.#options.events.onJournalLost(told.event);
        throw new Error("injected: the journal throws");
      }
      this.#options.events.onWritten(told.event);
    }
    this.#post(() => this.#options.events.onEvent(event));
    return true;
  }

  callClosed(slot: number, outcome: CallOutcome): void {
    const generation = this.#generations[slot]!;
    if (generation === 0) throw new Error(`callClosed: there is no call on slot ${slot}`);
    this.#generations[slot] = 0;
    this.#post(() => this.#options.events.onClosed(this, slot, generation, outcome));
  }

  hangUp(slot: number): void {
    const generation = this.#generations[slot]!;
    if (generation === 0) throw new Error(`hangUp: there is no call on slot ${slot}`);
    this.#post(() => this.#options.events.onHangUp(this, slot, generation));
  }

  pressure(): number {
    return 0;
  }

  // Who is to blame for a hang is the watchdog's matter, and real threads'.
  enter(): void {}

  leave(): void {}

  wakeEdge(slot: number): void {
    if (!this.arena.outBell.ring(slot)) return;
    this.#options.toMain(0, () => this.#options.events.onWake(this));
  }

  #receive(body: () => void): void {
    this.clock.after(this.#options.time.between(0, POST_MS), body);
  }

  #post(body: () => void): void {
    this.#outbox.push(body);
    this.tickSoon();
  }

  #tick(): void {
    this.#isTickDue = false;
    this.arena.inBell.drain(this.#visit);
    this.#handler.afterTick?.(this.clock.nowMs());
    this.#options.events.onTicked();
    this.#flush();
  }

  #flush(): void {
    const posted = this.#outbox;
    if (posted.length === 0) return;
    this.#outbox = [];
    this.#options.toMain(POST_MS, () => {
      for (const body of posted) body();
    });
  }

  #die(error: unknown): void {
    if (this.clock.isDead) return;
    this.kill(true);
    this.#options.events.onDead(this, error);
  }
}
