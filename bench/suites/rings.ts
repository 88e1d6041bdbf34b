/**
 * What a record costs in the rings: within one thread, between two, and there and back. Beside them the cost
 * of doing nothing and of a plain copy of its bytes. Between threads both sides spin, which measures the
 * rings; in a node a shard polls and the edge is woken by a port message once per tick, which is not in here.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Arena, type InRingConsumer, LegEnd, type OutRingConsumer, RecordKind } from "#runtime/media";
import type { RingsEchoTask } from "./rings-echo.js";
import { type Batch, quantile, threeFigures, timeBatches } from "./stopwatch.js";
import type { SuiteOptions, SuiteResult } from "./suite.js";

const FRAME_BYTES = 160;
/** A busy shard's worth, for the bell. */
const SLOT_COUNT = 256;
/** Eight times round the ring: the quickest such chunk shows two threads that both had a core. */
const CHUNK_RECORDS = 1_024;
/** Bounds memory of a long run; the first two million round trips tell as much as all. */
const MAX_ROUND_TRIPS = 2_000_000;

interface Measurement {
  readonly what: string;
  readonly batch: Batch;
}

function oneThread(): Measurement[] {
  const arena = Arena.create({ slotCount: SLOT_COUNT });
  const edge = arena.edgeSide(0);
  const shard = arena.shardSide(0);
  const frame = new Uint8Array(FRAME_BYTES);
  const target = new Uint8Array(FRAME_BYTES);
  let visits = 0;
  const visit = (slot: number): void => {
    visits = (visits + slot) | 0;
  };
  const repeat =
    (once: (n: number) => number): Batch =>
    (count) => {
      let sum = 0;
      for (let n = 0; n < count; n++) {
        frame[n % FRAME_BYTES] = n;
        sum = (sum + once(n)) | 0;
      }
      return sum;
    };
  return [
    { what: "nothing", batch: repeat((n) => n) },
    {
      what: "copy of 160 bytes",
      batch: repeat((n) => {
        target.set(frame);
        return target[n % FRAME_BYTES]!;
      }),
    },
    {
      what: "in-ring: write, full",
      batch: repeat((n) => {
        edge.in.writeAudio(frame, 0, FRAME_BYTES, n);
        return 1;
      }),
    },
    {
      what: "in-ring: write and read",
      batch: repeat((n) => {
        edge.in.writeAudio(frame, 0, FRAME_BYTES, n);
        shard.in.read();
        return shard.in.payload[n % FRAME_BYTES]!;
      }),
    },
    {
      what: "out-ring: write and read",
      batch: repeat((n) => {
        shard.out.tryWriteAudio(frame, 0, FRAME_BYTES, n);
        edge.out.read();
        return edge.out.payload[n % FRAME_BYTES]!;
      }),
    },
    {
      what: "out-ring: write and read a mark",
      batch: repeat((n) => {
        shard.out.tryWriteU32(RecordKind.mark, n, n);
        edge.out.read();
        return edge.out.u32();
      }),
    },
    { what: "out-ring: write, refused", batch: refused(arena, repeat) },
    {
      what: `bell of ${SLOT_COUNT}: ring one and drain`,
      batch: repeat((n) => {
        arena.inBell.ring(n % SLOT_COUNT);
        return arena.inBell.drain(visit);
      }),
    },
    { what: `bell of ${SLOT_COUNT}: drain of none`, batch: repeat(() => arena.outBell.drain(visit)) },
  ];
}

function refused(arena: Arena, repeat: (once: (n: number) => number) => Batch): Batch {
  const { out } = arena.shardSide(1);
  const frame = new Uint8Array(FRAME_BYTES);
  while (out.tryWriteAudio(frame, 0, FRAME_BYTES, 0) > 0);
  return repeat((n) => out.tryWriteAudio(frame, 0, FRAME_BYTES, n));
}

/** Runs `here` in this thread while the other does its role; returns both sides' counts. */
async function besideThread<T>(task: RingsEchoTask, here: () => T): Promise<{ here: T; there: number }> {
  const worker = new Worker(new URL("./rings-echo.js", import.meta.url), { workerData: task, execArgv: [] });
  try {
    await once(worker, "message");
    worker.postMessage("go");
    const counted = once(worker, "message");
    const result = here();
    const [there] = (await counted) as [number];
    return { here: result, there };
  } finally {
    await worker.terminate();
  }
}

interface Read {
  readonly count: number;
  readonly elapsedMs: number;
  /** Nanoseconds per record of the quickest CHUNK_RECORDS. */
  readonly bestNs: number;
  readonly digest: number;
}

/** What both rings' consumers have in common. */
type Consumer = Pick<InRingConsumer | OutRingConsumer, "read" | "kind" | "payload">;

/** Reads until a record that is not audio. */
function readToEnd(consumer: Consumer): Read {
  while (!consumer.read());
  const startedAt = performance.now();
  let chunkAt = startedAt;
  let bestNs = Number.POSITIVE_INFINITY;
  let count = 0;
  let digest = 0;
  while (consumer.kind === RecordKind.audio) {
    digest = (digest + consumer.payload[count % FRAME_BYTES]!) | 0;
    count++;
    if (count % CHUNK_RECORDS === 0) {
      const now = performance.now();
      bestNs = Math.min(bestNs, ((now - chunkAt) * 1e6) / CHUNK_RECORDS);
      chunkAt = now;
    }
    while (!consumer.read());
  }
  return { count, elapsedMs: performance.now() - startedAt, bestNs, digest };
}

async function outRingAcross(seconds: number): Promise<Read> {
  const arena = Arena.create({ slotCount: 1 });
  const task = { buffer: arena.buffer, role: "writeOut", seconds } as const;
  const { here, there } = await besideThread(task, () => readToEnd(arena.edgeSide(0).out));
  assert.equal(here.count, there, "the out-ring loses nothing");
  return here;
}

async function inRingAcross(seconds: number): Promise<Read & { readonly droppedCount: number }> {
  const arena = Arena.create({ slotCount: 1 });
  const audioIn = arena.shardSide(0).in;
  const task = { buffer: arena.buffer, role: "writeIn", seconds } as const;
  const { here, there } = await besideThread(task, () => readToEnd(audioIn));
  const { droppedCount } = audioIn;
  assert.equal(here.count + droppedCount, there, "what is lost is counted");
  return { ...here, droppedCount };
}

/** Nanoseconds of each trip: in-ring to the other thread, out-ring back. */
async function roundTrips(seconds: number): Promise<number[]> {
  const arena = Arena.create({ slotCount: 1 });
  const edge = arena.edgeSide(0);
  const trip = (value: number): void => {
    edge.in.writeU32Event(RecordKind.markEchoed, 0, value);
    while (!edge.out.read());
    assert.equal(edge.out.u32(), value);
  };
  const { here, there } = await besideThread({ buffer: arena.buffer, role: "echo", seconds }, () => {
    const tripsNs: number[] = [];
    const endAt = performance.now() + seconds * 1_000;
    do {
      const before = performance.now();
      trip(tripsNs.length);
      tripsNs.push((performance.now() - before) * 1e6);
    } while (performance.now() < endAt && tripsNs.length < MAX_ROUND_TRIPS);
    edge.in.writeByteEvent(RecordKind.legEnded, 0, LegEnd.stopped);
    return tripsNs;
  });
  assert.equal(here.length, there);
  return here.sort((a, b) => a - b);
}

export async function run(options: SuiteOptions): Promise<SuiteResult> {
  const measurements = oneThread();
  const share = options.seconds / (measurements.length + 3);
  let digest = 0;
  const rows: Record<string, number | string>[] = measurements.map(({ what, batch }) => {
    const timing = timeBatches(share, batch);
    digest = (digest + timing.digest) | 0;
    return {
      what,
      nsPerRecord: threeFigures(timing.medianNs),
      bestNsPerRecord: threeFigures(timing.bestNs),
    };
  });

  const out = await outRingAcross(share);
  const inward = await inRingAcross(share);
  const trips = await roundTrips(share);
  digest = (digest + out.digest + inward.digest) | 0;
  rows.push(
    {
      what: "out-ring: between threads",
      nsPerRecord: threeFigures((out.elapsedMs * 1e6) / out.count),
      bestNsPerRecord: threeFigures(out.bestNs),
    },
    {
      what: "in-ring: between threads, overrun",
      nsPerRecord: threeFigures((inward.elapsedMs * 1e6) / (inward.count + inward.droppedCount)),
      bestNsPerRecord: "",
    },
    {
      what: "there and back between threads, p50",
      nsPerRecord: threeFigures(quantile(trips, 0.5)),
      bestNsPerRecord: threeFigures(trips[0]!),
    },
    {
      what: "there and back between threads, p99",
      nsPerRecord: threeFigures(quantile(trips, 0.99)),
      bestNsPerRecord: "",
    },
  );
  const notes = [
    "records of 160 bytes; within one thread the median of batches of 0.2 ms",
    "between threads the mean, best of chunks of 1,024 records; it takes two cores that are free",
    `between threads: ${out.count} records through the out-ring, none lost`,
    `between threads: ${inward.count} records read from the in-ring, ${inward.droppedCount} dropped and counted`,
    `digest ${digest >>> 0}`,
  ];
  return { name: "rings", rows, notes };
}
