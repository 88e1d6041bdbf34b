/**
 * A shard that costs next to nothing, for measuring the edge's thread by itself: it drains each call's in-ring, notes
 * how old the audio is, and, when told to, keeps the out-ring filled. No recogniser, model or voice.
 *
 * The load writes into each frame the instant at which it was sent; all threads and processes of a machine share that
 * clock.
 */
import type { MetricSnapshot } from "#runtime/telemetry";
import { HotHistogram } from "#runtime/telemetry";
import { type ShardContext, type ShardHandler, runShard } from "#runtime/cluster";
import { FRAME_MS, RecordKind, type ShardSlot } from "#runtime/media";
import {
  FRAMES_METRIC,
  SENT_AT_BYTES,
  TO_RING_METRIC,
  TO_SHARD_METRIC,
  WRONG_METRIC,
} from "./edge-measures.js";

/** Milliseconds; fine where batching would show. */
const DELAY_BOUNDS_MS = [
  0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 100,
];
/** What a sentence is written in: marks stand at word ends. */
const WORD_FRAMES = 15;
const FRAME_BYTES = 160;

interface SinkCall {
  readonly leg: ShardSlot;
  /** Until when the out-ring is filled. */
  spokenUntilMs: number;
  markId: number;
}

class SinkShard implements ShardHandler {
  readonly #context: ShardContext;
  readonly #calls = new Map<number, SinkCall>();
  readonly #toRingMs = new HotHistogram(TO_RING_METRIC, "From sending to the ring.", DELAY_BOUNDS_MS);
  readonly #toShardMs = new HotHistogram(TO_SHARD_METRIC, "From sending to the shard.", DELAY_BOUNDS_MS);
  readonly #speaks = process.env["BENCH_SINK_SPEAKS"] === "1";
  readonly #silence = new Uint8Array(FRAME_BYTES).fill(0xff);
  readonly #sentAt = new DataView(new ArrayBuffer(SENT_AT_BYTES));
  #frames = 0;
  #wrong = 0;

  constructor(context: ShardContext) {
    this.#context = context;
  }

  async start(): Promise<void> {}

  configure(): void {}

  openCall(slot: number, leg: ShardSlot): void {
    this.#calls.set(slot, { leg, spokenUntilMs: 0, markId: 0 });
  }

  endCall(slot: number): void {
    this.#context.hangUp(slot);
  }

  ringsReady(slot: number): void {
    const call = this.#calls.get(slot)!;
    const { in: input } = call.leg;
    const nowMs = this.#context.clock.nowMs();
    while (input.read()) {
      if (input.kind === RecordKind.audio) this.#take(input.payload, input.timestampMs);
      else if (input.kind === RecordKind.legEnded) {
        this.#calls.delete(slot);
        this.#context.callClosed(slot, { kind: "callerHungUp" });
        return;
      }
    }
    if (this.#speaks) this.#speak(slot, call, nowMs);
  }

  beginDrain(): void {}

  /** Its metrics, whatever the topic. */
  async ask(): Promise<readonly MetricSnapshot[]> {
    const delays = await Promise.all([this.#toRingMs.get(), this.#toShardMs.get()]);
    return [...delays, counter(FRAMES_METRIC, this.#frames), counter(WRONG_METRIC, this.#wrong)];
  }

  async stop(): Promise<void> {}

  #take(payload: Uint8Array, ringAtMs: number): void {
    // Read anew for each: a frame may be sent, and come, while those before it are taken.
    const nowMs = this.#context.clock.nowMs();
    for (let index = 0; index < SENT_AT_BYTES; index++) this.#sentAt.setUint8(index, payload[index]!);
    const sentAtMs = this.#sentAt.getFloat64(0, true);
    this.#frames++;
    // Silence for a lost frame, or bytes that are not ours, cannot be an instant of the last minute.
    if (!(nowMs - sentAtMs >= 0 && nowMs - sentAtMs < 60_000)) {
      this.#wrong++;
      return;
    }
    this.#toRingMs.record(ringAtMs - sentAtMs);
    this.#toShardMs.record(nowMs - sentAtMs);
  }

  /** A second ahead, as the real playout does. */
  #speak(slot: number, call: SinkCall, nowMs: number): void {
    if (call.spokenUntilMs < nowMs) call.spokenUntilMs = nowMs;
    let wrote = false;
    while (call.spokenUntilMs < nowMs + 1_000) {
      for (let frame = 0; frame < WORD_FRAMES; frame++) {
        call.leg.out.tryWriteAudio(this.#silence, 0, FRAME_BYTES, nowMs);
      }
      call.leg.out.tryWriteU32(RecordKind.mark, call.markId++, nowMs);
      call.spokenUntilMs += WORD_FRAMES * FRAME_MS;
      wrote = true;
    }
    if (wrote) this.#context.wakeEdge(slot);
  }
}

function counter(name: string, value: number): MetricSnapshot {
  return { name, help: name, type: "counter", aggregator: "sum", values: [{ value, labels: {} }] };
}

runShard((context) => new SinkShard(context));
