/** The other thread of the rings suite: writes as fast as the ring takes, or sends back what it reads. */
import { parentPort, workerData } from "node:worker_threads";
import { Arena, LegEnd, RecordKind } from "#runtime/media";

export interface RingsEchoTask {
  readonly buffer: SharedArrayBuffer;
  readonly role: "writeOut" | "writeIn" | "echo";
  readonly seconds: number;
}

/** How often the clock is looked at: between two looks lie some ten microseconds. */
const RECORDS_PER_LOOK = 256;

function write(arena: Arena, role: "writeOut" | "writeIn", seconds: number): number {
  const audioIn = arena.edgeSide(0).in;
  const audioOut = arena.shardSide(0).out;
  const frame = new Uint8Array(160);
  const endAt = performance.now() + seconds * 1_000;
  let written = 0;
  while (performance.now() < endAt) {
    for (let n = 0; n < RECORDS_PER_LOOK; n++) {
      frame[n % 160] = n;
      if (role === "writeIn") audioIn.writeAudio(frame, 0, 160, written);
      else while (audioOut.tryWriteAudio(frame, 0, 160, written) === 0);
      written++;
    }
  }
  if (role === "writeIn") audioIn.writeByteEvent(RecordKind.legEnded, 0, LegEnd.stopped);
  else while (!audioOut.tryWriteU32(RecordKind.mark, 0, 0));
  return written;
}

function echo(arena: Arena): number {
  const shard = arena.shardSide(0);
  let echoed = 0;
  for (;;) {
    if (!shard.in.read()) continue;
    if (shard.in.kind === RecordKind.legEnded) return echoed;
    while (!shard.out.tryWriteU32(RecordKind.mark, shard.in.u32(), 0));
    echoed++;
  }
}

const task = workerData as RingsEchoTask;
const arena = Arena.attach(task.buffer);
parentPort?.postMessage("ready");
parentPort?.once("message", () => {
  parentPort?.postMessage(task.role === "echo" ? echo(arena) : write(arena, task.role, task.seconds));
});
