import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { createMetrics } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { GIVEN_UP_MAX } from "./journal-spool.js";
import { event, openSpool, readAll, spoolDirectory } from "./spool.fixture.js";
import { encodeRecord, readSegment } from "./spool-segment.js";

const WRITER = fileURLToPath(new URL("./spool.fixture.js", import.meta.url));

/** By call, in the order read. */
function byCall(events: readonly JournalEvent[]): Map<string, number[]> {
  const sequences = new Map<string, number[]>();
  for (const { callId, sequence } of events) {
    sequences.set(callId, [...(sequences.get(callId) ?? []), sequence]);
  }
  return sequences;
}

void t.test(
  "writers killed at any instant lose nothing that was flushed, and leave every call in order",
  async (t) => {
    const directory = spoolDirectory(t);
    const random = seededRandom(11);
    const promised = new Map<string, number>();
    for (let round = 0; round < 8; round++) {
      const writer = spawn(process.execPath, [WRITER, directory, String(round)], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const killAfterLines = 1 + Math.floor(random.next() * 60);
      let lines = 0;
      for await (const line of createInterface({ input: writer.stdout })) {
        for (const [callId, count] of JSON.parse(line) as [string, number][]) promised.set(callId, count);
        lines += 1;
        if (lines === killAfterLines) writer.kill("SIGKILL");
      }
      if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
      t.equal(writer.signalCode, "SIGKILL");
    }
    const spool = await openSpool(directory);
    const read = await readAll(spool);
    const sequences = byCall(read);
    for (const [callId, count] of promised) {
      const found = sequences.get(callId) ?? [];
      t.ok(found.length >= count, `${callId}: ${found.length} of at least ${count}`);
      t.same(found, [...found.keys()], `${callId}: in order, each once`);
    }
    const rounds = read.map(({ callId }) => Number(callId.split("-")[1]));
    t.same(
      rounds,
      rounds.toSorted((a, b) => a - b),
      "former processes first",
    );
    await spool.close();
    t.same(readdirSync(directory), [], "and once it is settled nothing is left");
  },
);

void t.test(
  "a segment torn or damaged at any byte yields what stands before, and is cut there",
  async (t) => {
    const directory = spoolDirectory(t);
    const records = [0, 1, 2].map((sequence) => encodeRecord(event("call-1", sequence)));
    const whole = Buffer.concat(records);
    const path = join(directory, "0000000001.seg");
    const lastStart = records[0]!.length + records[1]!.length;
    for (let length = lastStart; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      const { events, goodBytes } = await readSegment(path);
      if (events.length !== 2 || goodBytes !== lastStart) t.fail(`cut at ${length}`);
    }
    for (let at = 0; at < whole.length; at += 7) {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= 0x40;
      writeFileSync(path, damaged);
      const { events } = await readSegment(path);
      const before = at < records[0]!.length ? 0 : at < lastStart ? 1 : 2;
      if (events.length !== before) t.fail(`damaged at ${at}`);
    }
    writeFileSync(path, whole.subarray(0, whole.length - 3));
    const spool = await openSpool(directory);
    spool.append(event("call-2", 0));
    t.same(
      (await readAll(spool)).map(({ callId, sequence }) => [callId, sequence]),
      [
        ["call-1", 0],
        ["call-1", 1],
        ["call-2", 0],
      ],
    );
    await spool.close();
  },
);

void t.test("what was settled is gone, file by file; the rest is there for the next process", async (t) => {
  const directory = spoolDirectory(t);
  const spool = await openSpool(directory, { segmentBytes: 1_000 });
  for (let sequence = 0; sequence < 40; sequence++) spool.append(event("call-1", sequence));
  await spool.flushed();
  const files = readdirSync(directory).length;
  t.ok(files > 5);
  const first = spool.read(20);
  spool.settle(first);
  await spool.close();
  t.ok(readdirSync(directory).length < files);
  const next = await openSpool(directory);
  const again = (await readAll(next)).map(({ sequence }) => sequence);
  t.ok(again[0]! > 10 && again[0]! <= 20, "repeated from the segment that was not settled whole");
  t.equal(again.at(-1), 39);
  await next.close();
});

void t.test("a sender that is far behind costs no memory: what it has not read is on disk", async (t) => {
  const spool = await openSpool(spoolDirectory(t), { segmentBytes: 16 * 1024 });
  for (let sequence = 0; sequence < 12_000; sequence++) {
    spool.append(event("call-1", sequence));
    if (sequence % 1_000 === 0) await spool.flushed();
  }
  await spool.flushed();
  t.ok(spool.eventsInMemory < 6_000, `${spool.eventsInMemory} events in memory`);
  t.same(
    (await readAll(spool)).map(({ sequence }) => sequence),
    Array.from({ length: 12_000 }, (_, index) => index),
  );
  await spool.close();
});

void t.test(
  "at its bound ended calls make room first, whole; live ones stay whole as long as they can",
  async (t) => {
    const metrics = createMetrics({ thread: "test" });
    const live = new Set(["live"]);
    const directory = spoolDirectory(t);
    const spool = await openSpool(directory, {
      metrics,
      segmentBytes: 2_000,
      maxBytes: 20_000,
      isLive: (callId) => live.has(callId),
    });
    spool.append(event("live", 0));
    let liveSequence = 1;
    for (let call = 0; call < 60; call++) {
      for (let sequence = 0; sequence < 5; sequence++)
        spool.append(event(`call-${call}`, sequence, sequence === 4));
      if (call % 10 === 0) spool.append(event("live", liveSequence++));
      await spool.flushed();
      t.ok(spool.bytes <= 22_000 + 2_000, `${spool.bytes} bytes`);
    }
    const sequences = byCall(await readAll(spool));
    t.same(
      sequences.get("live"),
      Array.from({ length: liveSequence }, (_, index) => index),
    );
    t.same(sequences.get("call-59"), [0, 1, 2, 3, 4]);
    t.notOk(sequences.has("call-0"));
    const dropped = (await metrics.journalEvents.get()).values.find(
      ({ labels }) => labels.result === "dropped",
    );
    t.equal(
      dropped!.value,
      60 * 5 - [...sequences].reduce((sum, [id, { length }]) => sum + (id === "live" ? 0 : length), 0),
    );
    await spool.close();
  },
);

void t.test(
  "a disk that takes nothing: counted, sent from memory, and written once it takes again",
  async (t) => {
    const clock = new VirtualClock();
    const metrics = createMetrics({ thread: "test" });
    const directory = spoolDirectory(t);
    const spool = await openSpool(directory, { clock, metrics });
    const file = join(directory, "0000000001.seg");
    symlinkSync("/dev/full", file);
    for (let sequence = 0; sequence < 3; sequence++) spool.append(event("call-1", sequence));
    const failures = async (): Promise<number> => (await metrics.spoolWriteFailures.get()).values[0]!.value;
    while ((await failures()) === 0) await new Promise((resolve) => setImmediate(resolve));
    t.equal(spool.read(10).length, 3, "the sender has them");
    unlinkSync(file);
    clock.advance(1_000);
    await spool.flushed();
    t.equal((await readSegment(file)).events.length, 3);
    t.ok(readFileSync(file).length > 0);
    await spool.close();
  },
);

void t.test("a call's events that make room are waited for no longer", async (t) => {
  const isLive = (callId: string): boolean => callId !== "call-1";
  const spool = await openSpool(spoolDirectory(t), { segmentBytes: 500, maxBytes: 2_000, isLive });
  spool.append(event("call-1", 0));
  const drained = spool.drained("call-1");
  for (let sequence = 0; sequence < 30; sequence++) spool.append(event("call-2", sequence));
  await spool.flushed();
  await drained;
  await spool.close();
});

void t.test("of calls that lost an event so many are remembered", async (t) => {
  const spool = await openSpool(spoolDirectory(t));
  for (let call = 0; call <= GIVEN_UP_MAX; call++) spool.giveUp(`call-${call}`, 1);
  for (const callId of ["call-0", "call-1", `call-${GIVEN_UP_MAX}`]) spool.append(event(callId, 1));
  t.same(
    spool.read(10).map((read) => read.event.callId),
    ["call-0"],
  );
  await spool.close();
});

void t.test("a call's events are waited for until they are settled", async (t) => {
  const spool = await openSpool(spoolDirectory(t));
  await spool.drained("call-1");
  spool.append(event("call-1", 0));
  spool.append(event("call-2", 0));
  let isDrained = false;
  const drained = spool.drained("call-1").then(() => {
    isDrained = true;
  });
  const [first, second] = spool.read(2);
  spool.settle([second!]);
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isDrained);
  spool.settle([first!]);
  await drained;
  await spool.close();
});
