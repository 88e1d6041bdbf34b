/**
 * The inside of a shard: the thread's loop around the handler that runs the calls.
 *
 * The loop polls the in-bell while there are calls and is parked while there are none; a heartbeat runs
 * always. What the handler wants to say is collected and posted once per tick.
 *
 * R1 `ringsReady` is called for a slot whenever its in-ring may hold something the handler has not been
 *    told of: after each ring of the bell, and once after openCall, for what came before it.
 * R2 per slot the handler sees openCall, then any number of ringsReady, then nothing after it has said
 *    callClosed.
 * R3 each openCall is answered, by callClosed or by a refusal; each ask too.
 */
import assert from "node:assert/strict";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Clock, type Random, SystemClock, systemRandom } from "#runtime/actor";
import { toWire } from "#runtime/errors";
import { Arena, NapFlag, type ShardSlot } from "#runtime/media";
import { EventLoopDelayMonitor } from "#runtime/telemetry";
import type { CallOutcome, CallStart } from "./call-start.js";
import { Heartbeat } from "./heartbeat.js";
import type { Ask, FromShard, OpenCall, ShardBoot, ToShard } from "./messages.js";
import { ShardOutbox } from "./shard-outbox.js";
import { ownThreadId } from "./thread-cpu.js";

/** What the node samples, once a second. */
const LOAD_INTERVAL_MS = 1_000;
/** Polls that may be left out when the edge's thread is up: it may have no packets, or be late itself. */
const POLLS_WITHOUT_WAKE = 2;

/** What the handler may use of its shard. */
export interface ShardContext {
  readonly shardId: number;
  /** As given to the pool. */
  readonly workerData: unknown;
  readonly clock: Clock;
  readonly random: Random;
  readonly arena: Arena;
  /**
   * Tells the node something, structured-clonable; in order with callClosed, batched per tick. When the
   * main thread is far behind and the bound of what is held back is reached, events are dropped, a fault
   * is logged, and this says false.
   */
  emit(event: unknown): boolean;
  /** The call is over: the handler will not touch the slot's rings again. */
  callClosed(slot: number, outcome: CallOutcome): void;
  /** Asks the edge to end the leg. The call is over only when the in-ring has said legEnded. */
  hangUp(slot: number): void;
  /** The node's rung of backpressure, 0 to 4: a load of shared memory. */
  pressure(): number;
  /**
   * The code of this slot's call begins, or goes back to the loop: who is to blame when it does not, and a sign that
   * the shard gets on. Per message and callback: two stores.
   */
  enter(slot: number): void;
  leave(): void;
  /** There is something in the slot's out-ring. Wakes the edge, unless it is about to look anyhow. */
  wakeEdge(slot: number): void;
}

/**
 * What runs the calls of a shard. None of its members may throw, save where it says so: an error that
 * reaches the loop ends the shard, and all its calls.
 */
export interface ShardHandler {
  /** The shard reports ready only after this has resolved; rejecting ends it. */
  start(): Promise<void>;
  /**
   * A new snapshot. Called after `start`, once before the shard reports ready if the pool was configured by
   * then: the shard is ready when the promise of that one has settled, so that what it needs can be fetched.
   * Failing is logged, and the handler goes on with what it had.
   */
  configure(config: unknown): void | Promise<void>;
  /** A call begins. Throwing refuses it. */
  openCall(slot: number, leg: ShardSlot, start: CallStart): void;
  /**
   * The node wants this call over, with this outcome: `leaseLost` at once and without a word, `handedOver` at the next
   * instant at which another actor can go on unnoticed, whatever else after a goodbye. Told by callClosed like any end.
   */
  endCall(slot: number, outcome: CallOutcome): void;
  /** The slot's in-ring has something, probably. Per frame: no allocation, no logging. */
  ringsReady(slot: number): void;
  /** At the end of each tick, while there are calls: the place to run what ringsReady has queued. */
  afterTick?(nowMs: number): void;
  /** No new calls will come; those that run have until this instant (Clock.nowMs()). */
  beginDrain(deadlineAtMs: number): void;
  /** Answers the pool's ask; throwing or rejecting answers with the error, code kept. */
  ask(topic: string, payload: unknown): unknown;
  /** Share of the tightest of its budgets in use, 0 to 1; asked once a second. @default 0 */
  budgetUsage?(): number;
  /** Release everything; the thread ends when this has settled. */
  stop(): Promise<void>;
}

/** The whole of a shard's entry file: `runShard((context) => new MyHandler(context))`. */
export function runShard(create: (context: ShardContext) => ShardHandler): void {
  assert(parentPort !== null, "runShard belongs into the entry file of a worker thread");
  // Whatever goes wrong in start() is told by message and ends the thread.
  void new ShardRuntime(workerData as ShardBoot, parentPort).run(create);
}

class ShardRuntime implements ShardContext {
  readonly shardId: number;
  readonly workerData: unknown;
  readonly clock = new SystemClock();
  readonly random = systemRandom;
  readonly arena: Arena;
  readonly #boot: ShardBoot;
  readonly #port: MessagePort;
  readonly #heartbeat: Heartbeat;
  readonly #edgeNap: NapFlag;
  readonly #outbox: ShardOutbox;
  /** Generation of the call on each slot; 0 when there is none. */
  readonly #generations: Float64Array;
  /** While the edge's thread goes by turns it wakes us after each; the poll is for when it does not come. */
  readonly #onPoll = (): void => {
    const sinceTickMs = this.clock.nowMs() - this.#tickedAtMs;
    if (this.#edgeNap.isUp && sinceTickMs < POLLS_WITHOUT_WAKE * this.#boot.pollMs) return;
    this.#tick();
  };
  #tickedAtMs = 0;
  readonly #visitSlot = (slot: number): void => {
    // A bit may be left of a call that is over.
    if (this.#generations[slot] !== 0) this.#running().ringsReady(slot);
  };
  #openCount = 0;
  #ticking = false;
  /** The bell wants a wake-up that has not been posted yet. */
  #wakeOwed = false;
  #handler: ShardHandler | null = null;
  /** What came before the handler was ready for it. */
  #early: ToShard[] | null = [];
  #pollTimer: NodeJS.Timeout | null = null;
  readonly #eventLoop = new EventLoopDelayMonitor();
  #loadToldAtMs: number;

  constructor(boot: ShardBoot, port: MessagePort) {
    this.shardId = boot.shardId;
    this.workerData = boot.workerData;
    this.arena = Arena.attach(boot.arenaBuffer);
    this.#boot = boot;
    this.#port = port;
    this.#loadToldAtMs = this.clock.nowMs();
    this.#heartbeat = new Heartbeat(boot.heartbeatBuffer);
    this.#edgeNap = new NapFlag(boot.edgeNapBuffer);
    this.#outbox = new ShardOutbox(port, this.#heartbeat);
    this.#generations = new Float64Array(this.arena.slotCount);
    this.#heartbeat.tellThread(ownThreadId());
    port.on("message", (message: ToShard) => this.#receive(message));
    // What the tick had to say when the thread is ended from inside: the calls' journals stand in it.
    process.once("uncaughtExceptionMonitor", () => this.#outbox.flush());
    process.once("exit", () => this.#outbox.flush());
    setInterval(() => this.#beat(), boot.heartbeatMs);
  }

  async run(create: (context: ShardContext) => ShardHandler): Promise<void> {
    try {
      const handler = create(this);
      await handler.start();
      this.#handler = handler;
    } catch (error) {
      this.#post({ kind: "startFailed", error: toWire(error) });
      process.exit(1);
    }
    if (this.#boot.config !== null) await this.#configure(this.#boot.config.value);
    this.#post({ kind: "ready" });
    const early = this.#early ?? [];
    this.#early = null;
    for (const message of early) this.#receive(message);
  }

  emit(event: unknown): boolean {
    return this.#outbox.add({ kind: "event", event });
  }

  callClosed(slot: number, outcome: CallOutcome): void {
    const generation = this.#generations[slot];
    assert(generation !== undefined && generation !== 0, `callClosed: there is no call on slot ${slot}`);
    this.#generations[slot] = 0;
    this.#openCount--;
    if (this.#openCount === 0) this.#park();
    this.#outbox.add({ kind: "callClosed", slot, generation, outcome });
  }

  hangUp(slot: number): void {
    const generation = this.#generations[slot];
    assert(generation !== undefined && generation !== 0, `hangUp: there is no call on slot ${slot}`);
    this.#outbox.add({ kind: "hangUp", slot, generation });
  }

  pressure(): number {
    return this.#heartbeat.pressure();
  }

  enter(slot: number): void {
    this.#heartbeat.enter(this.#generations[slot] ?? 0);
  }

  leave(): void {
    this.#heartbeat.leave();
  }

  wakeEdge(slot: number): void {
    if (!this.arena.outBell.ring(slot)) return;
    // Within a tick the other calls are about to ring too: one wake-up for all of them, at its end.
    if (this.#ticking) this.#wakeOwed = true;
    else this.#wakeEdge();
  }

  #receive(message: ToShard): void {
    if (this.#early !== null && message?.kind !== "stop") {
      // Bounded: calls and asks come only after ready, and configurations are an operator's doing.
      this.#early.push(message);
      return;
    }
    if (message === null) {
      // Without calls there is nobody to tell; the bell keeps what was rung.
      if (this.#pollTimer !== null) this.#tick();
      return;
    }
    switch (message.kind) {
      case "openCall":
        this.#openCall(message);
        return;
      case "endCall":
        // It may have ended by itself while this was on its way, and the slot be another call's.
        if (this.#generations[message.slot] !== message.generation) return;
        this.#running().endCall(message.slot, message.outcome);
        return;
      case "configure":
        void this.#configure(message.config);
        return;
      case "ask":
        void this.#answer(message);
        return;
      case "beginDrain":
        this.#running().beginDrain(message.deadlineAtMs);
        return;
      case "stop":
        void this.#stop();
        return;
    }
  }

  #openCall({ slot, generation, start }: OpenCall): void {
    const refuse = (error: unknown): void => {
      this.#outbox.add({ kind: "callRefused", slot, generation, error: toWire(error) });
    };
    if (this.#generations[slot] !== 0) {
      refuse(new Error(`slot ${slot} has a call already`));
      return;
    }
    this.#generations[slot] = generation;
    this.#openCount++;
    try {
      this.#running().openCall(slot, this.arena.shardSide(slot), start);
    } catch (error) {
      if (this.#generations[slot] !== generation) throw error;
      this.#generations[slot] = 0;
      this.#openCount--;
      refuse(error);
      return;
    }
    this.#unpark();
    // R1: audio may have come, and its bell been drained, before this message.
    this.#visitSlot(slot);
  }

  async #configure(config: unknown): Promise<void> {
    try {
      await this.#running().configure(config);
    } catch (error) {
      this.#outbox.addFault("the shard keeps its configuration: the new one was refused", error);
    }
  }

  async #answer({ id, topic, payload }: Ask): Promise<void> {
    try {
      const value = await this.#running().ask(topic, payload);
      this.#post({ kind: "answer", id, result: { ok: true, value } });
    } catch (error) {
      // Also when the value could not be cloned.
      this.#post({ kind: "answer", id, result: { ok: false, error: toWire(error) } });
    }
  }

  async #stop(): Promise<void> {
    try {
      await this.#handler?.stop();
    } catch (error) {
      this.#outbox.addFault("the shard's handler failed to stop", error);
    }
    this.#outbox.flush();
    // Whatever the handler left open must not keep the thread alive.
    process.exit(0);
  }

  #tick(): void {
    const nowMs = this.clock.nowMs();
    this.#tickedAtMs = nowMs;
    this.#heartbeat.beat(nowMs);
    this.#ticking = true;
    this.arena.inBell.drain(this.#visitSlot);
    this.#running().afterTick?.(nowMs);
    // Not reset when the above throws: that ends the shard.
    this.#ticking = false;
    if (this.#wakeOwed) {
      this.#wakeOwed = false;
      this.#wakeEdge();
    }
    this.#outbox.flush();
  }

  #beat(): void {
    const nowMs = this.clock.nowMs();
    this.#heartbeat.beat(nowMs);
    if (nowMs - this.#loadToldAtMs >= LOAD_INTERVAL_MS) {
      this.#loadToldAtMs = nowMs;
      const eventLoopDelayMs = this.#eventLoop.take().p95;
      this.#heartbeat.tellLoad({ eventLoopDelayMs, budgetUsage: this.#handler?.budgetUsage?.() ?? 0 });
    }
    // What was held back because the main thread was behind.
    this.#outbox.flush();
  }

  #unpark(): void {
    this.#pollTimer ??= setInterval(this.#onPoll, this.#boot.pollMs);
  }

  #park(): void {
    if (this.#pollTimer !== null) clearInterval(this.#pollTimer);
    this.#pollTimer = null;
  }

  #running(): ShardHandler {
    assert(this.#handler !== null, "the handler has started");
    return this.#handler;
  }

  #wakeEdge(): void {
    if (!this.#edgeNap.wake()) this.#post(null);
  }

  #post(message: FromShard): void {
    this.#port.postMessage(message);
  }
}
