/**
 * A shard whose handler does what tests ask of it: echoes audio, and misbehaves on command. Its topics are
 * the keys of `commands` below.
 */
// oxlint-disable no-restricted-globals -- tests open gates in these threads through two shared words
import { LumentraError } from "#runtime/errors";
import { RecordKind, type ShardSlot } from "#runtime/media";
import type { CallOutcome, CallStart } from "./call-start.js";
import { ownThreadId } from "./thread-cpu.js";
import { type ShardContext, type ShardHandler, runShard } from "./shard-runtime.js";

export interface TestShardData {
  /** `gated`: start() resolves once word 0 of `words` is not 0. `dieAfter`: see `words`. */
  readonly start?: "ok" | "gated" | "throws" | "never" | "exits";
  /** Word 0: the gate. Word 1: how many incarnations were started, all shards together. */
  readonly words?: SharedArrayBuffer;
  /** Incarnations after this many end before they are ready. */
  readonly goodStarts?: number;
  readonly stop?: "ok" | "never" | "throws";
}

class TestShard implements ShardHandler {
  readonly #context: ShardContext;
  readonly #data: TestShardData;
  readonly #legs = new Map<number, { leg: ShardSlot; start: CallStart }>();
  readonly #configs: unknown[] = [];
  #drainDeadlineAtMs: number | null = null;
  #ticks = 0;
  #framesRead = 0;
  #budgetUsage = 0;
  #failInRingsReady = false;

  constructor(context: ShardContext) {
    this.#context = context;
    this.#data = context.workerData as TestShardData;
  }

  async start(): Promise<void> {
    const words = this.#data.words === undefined ? null : new Int32Array(this.#data.words);
    const startCount = words === null ? 1 : Atomics.add(words, 1, 1) + 1;
    if (this.#data.goodStarts !== undefined && startCount > this.#data.goodStarts) process.exit(9);
    switch (this.#data.start ?? "ok") {
      case "ok":
        return;
      case "gated":
        await this.#gate();
        return;
      case "throws":
        throw new LumentraError("SETTING_INVALID", "this shard cannot start");
      case "never":
        await new Promise(() => {});
        return;
      case "exits":
        process.exit(7);
    }
  }

  async configure(config: unknown): Promise<void> {
    if (config === "refuse me") throw new Error("not a configuration");
    this.#configs.push(config);
    if (config === "gated") await this.#gate();
  }

  openCall(slot: number, leg: ShardSlot, start: CallStart): void {
    if (start.callId === "refuse me") throw new LumentraError("TENANT_CONFIG_INVALID", "no such tenant");
    if (start.callId === "exit on open") process.exit(5);
    this.#legs.set(slot, { leg, start });
    this.#context.emit({ kind: "opened", callId: start.callId });
    if (start.callId === "close at once") this.#close(slot);
  }

  endCall(slot: number, outcome: CallOutcome): void {
    this.#context.emit({ kind: "endCall", callId: this.#legs.get(slot)?.start.callId, outcome });
    this.#legs.delete(slot);
    this.#context.callClosed(slot, outcome);
  }

  ringsReady(slot: number): void {
    if (this.#failInRingsReady) throw new Error("a bug in ringsReady");
    const entry = this.#legs.get(slot);
    if (entry === undefined) throw new Error(`ringsReady for slot ${slot} without a call`);
    const { in: input, out } = entry.leg;
    while (input.read()) {
      if (input.kind === RecordKind.audio) {
        this.#framesRead++;
        out.tryWriteAudio(input.payload, 0, input.length, this.#context.clock.nowMs());
        this.#context.wakeEdge(slot);
      } else if (input.kind === RecordKind.legEnded) {
        this.#close(slot);
        return;
      }
    }
  }

  afterTick(): void {
    this.#ticks++;
  }

  beginDrain(deadlineAtMs: number): void {
    this.#drainDeadlineAtMs = deadlineAtMs;
  }

  ask(topic: string, payload: unknown): unknown {
    const command = this.#commands[topic];
    if (command === undefined) throw new Error(`unknown topic ${topic}`);
    return command(payload);
  }

  budgetUsage(): number {
    return this.#budgetUsage;
  }

  async stop(): Promise<void> {
    this.#context.emit({ kind: "stopping" });
    if (this.#data.stop === "never") await new Promise(() => {});
    if (this.#data.stop === "throws") throw new Error("cannot stop");
  }

  readonly #commands: Readonly<Record<string, (payload: unknown) => unknown>> = {
    echo: (payload) => payload,
    threadId: () => ownThreadId(),
    /** As if this slot's call never came back. */
    spinIn: (payload) => {
      this.#context.enter(payload as number);
      for (;;);
    },
    fail: () => {
      throw new LumentraError("REQUEST_INVALID", "no such codec", { detail: { codec: "opus" } });
    },
    never: () => new Promise(() => {}),
    unclonable: () => () => {},
    state: () => ({
      configs: this.#configs,
      drainDeadlineAtMs: this.#drainDeadlineAtMs,
      ticks: this.#ticks,
      framesRead: this.#framesRead,
      openCalls: this.#legs.size,
    }),
    pressure: () => this.#context.pressure(),
    useBudget: (payload) => {
      this.#budgetUsage = payload as number;
    },
    /** Runs no callback for so many ms. */
    stall: (payload) => {
      const untilMs = this.#context.clock.nowMs() + (payload as number);
      while (this.#context.clock.nowMs() < untilMs);
    },
    /** Ticks within so many ms: the interval that makes them is due many times before the timer is. */
    ticksWithin: async (payload) => {
      const before = this.#ticks;
      await new Promise<void>((resolve) => {
        this.#context.clock.setTimer(payload as number, resolve);
      });
      return this.#ticks - before;
    },
    emit: (payload) => {
      for (const event of payload as unknown[]) this.#context.emit(event);
    },
    emitUnclonable: () => {
      this.#context.emit("before");
      this.#context.emit(() => {});
      this.#context.emit("after");
    },
    close: (payload) => this.#close(payload as number),
    hangUp: (payload) => this.#context.hangUp(payload as number),
    closeAndExit: (payload) => {
      this.#context.emit("last words");
      this.#close(payload as number);
      setImmediate(() => setImmediate(() => process.exit(4)));
    },
    exit: () => process.exit(3),
    throwLater: () => void setImmediate(() => assertNever()),
    rejectLater: () => {
      // Nobody handles it: an error that reaches the loop.
      void Promise.reject(new Error("unhandled"));
    },
    failInRingsReady: () => {
      this.#failInRingsReady = true;
    },
    spin: () => {
      for (;;);
    },
    exhaustMemory: () => {
      const hoard: number[][] = [];
      for (;;) hoard.push(Array.from({ length: 10_000 }, (_, i) => i));
    },
  };

  async #gate(): Promise<void> {
    while (Atomics.load(new Int32Array(this.#data.words!), 0) === 0) {
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    }
  }

  #close(slot: number): void {
    this.#legs.delete(slot);
    this.#context.callClosed(slot, { kind: "callerHungUp" });
  }
}

function assertNever(): never {
  throw new Error("a bug in a callback");
}

runShard((context) => new TestShard(context));
