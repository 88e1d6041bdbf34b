/**
 * A shard of a simulated node: the real call shard over a real arena, on a thread of its own that can be late, stand still
 * and die. What ShardRuntime does with messages and ticks is done here in virtual time; what waits for a main thread that
 * is behind waits in the real outbox.
 *
 * H1 what a shard posts reaches the main thread in order; what it had not posted when it died is gone.
 */
import { type CallShardConfig, type CallShardParts, createCallShard } from "#actors/call";
import type { JournalEvent } from "#actors/journal";
import type {
  CallOutcome,
  CallStart,
  FromShard,
  OutboxBounds,
  ShardContext,
  ShardHandler,
  ShardItem,
} from "#runtime/cluster";
import { ShardOutbox, SlotTable } from "#runtime/cluster";
import type { Random } from "#runtime/actor";
import { Arena, type ShardSlot } from "#runtime/media";
import type { SimNetwork } from "./sim-network.js";
import { SimThread, type SimTime } from "./sim-time.js";

const TICK_MS = 5;
/** A message between threads. */
const POST_MS = 2;
/** A shard that was held back looks again. */
const BEAT_MS = 50;

export interface SimShardOptions {
  readonly time: SimTime;
  readonly shardId: number;
  readonly arena: {
    readonly slotCount: number;
    readonly inRecordCount: number;
    readonly outRecordCount: number;
  };
  readonly outbox: OutboxBounds;
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
  /** An injected fault, or a main thread that was too far behind, kept it from being written. */
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
  readonly #outbox: ShardOutbox;
  #isTickDue = false;
  #unreadCount = 0;

  constructor(options: SimShardOptions) {
    const { time, arena, shardId, nextGeneration } = options;
    this.#options = options;
    this.shardId = shardId;
    this.workerData = options.workerData;
    this.clock = new SimThread(time, (error) => this.#die(error));
    options.network.thread = this.clock;
    const counts = {
      unreadBatches: (): number => this.#unreadCount,
      notePosted: (): void => void (this.#unreadCount += 1),
      noteRead: (): void => void (this.#unreadCount -= 1),
    };
    const port = { postMessage: (message: FromShard) => this.#toMain(message) };
    this.#outbox = new ShardOutbox(port, counts, options.outbox);
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
    if (posts) this.#outbox.flush();
    this.clock.die();
    this.#options.network.drop();
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
    const generation = this.#generations[slot]!;
    if (generation === 0) throw new Error(`callClosed: there is no call on slot ${slot}`);
    this.#generations[slot] = 0;
    this.#post({ kind: "callClosed", slot, generation, outcome });
  }

  hangUp(slot: number): void {
    const generation = this.#generations[slot]!;
    if (generation === 0) throw new Error(`hangUp: there is no call on slot ${slot}`);
    this.#post({ kind: "hangUp", slot, generation });
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

  #post(item: ShardItem): boolean {
    if (this.clock.isDead) return true; // nobody is there to be told of it
    this.tickSoon();
    return this.#outbox.add(item);
  }

  #tick(): void {
    this.#isTickDue = false;
    this.arena.inBell.drain(this.#visit);
    this.#handler.afterTick?.(this.clock.nowMs());
    this.#options.events.onTicked();
    this.#outbox.flush();
  }

  #toMain(message: FromShard): void {
    if (message?.kind !== "batch") return;
    this.#options.toMain(POST_MS, () => {
      this.#unreadCount -= 1;
      this.clock.after(BEAT_MS, () => this.#outbox.flush());
      for (const item of message.items) this.#deliver(item);
    });
  }

  #deliver(item: ShardItem): void {
    const { events } = this.#options;
    if (item.kind === "event") events.onEvent(item.event);
    if (item.kind === "callClosed") events.onClosed(this, item.slot, item.generation, item.outcome);
    if (item.kind === "hangUp") events.onHangUp(this, item.slot, item.generation);
  }

  #die(error: unknown): void {
    if (this.clock.isDead) return;
    this.kill(true);
    this.#options.events.onDead(this, error);
  }
}
