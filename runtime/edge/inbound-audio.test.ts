import t from "tap";
import { Arena, type AudioFormat, type InRingConsumer, MULAW_8K } from "#runtime/media";
import { InboundMessage } from "./carriers/inbound-message.js";
import { EdgeCounters } from "./counters.js";
import { InboundAudio } from "./inbound-audio.js";

const FRAME_BYTES = 160;

function setUp(format: AudioFormat = MULAW_8K) {
  const arena = Arena.create({ slotCount: 1, inRecordCount: 1024 });
  const problems: string[] = [];
  const counters = new EdgeCounters();
  const audio = new InboundAudio(arena.edgeSide(0).in, format, counters, (problem) => problems.push(problem));
  const message = new InboundMessage();
  let nowMs = 5_000;
  return {
    problems,
    counters,
    /** Takes a frame filled with `fill`, `afterMs` later than the last. */
    take: (fill: number, chunk: number, timestampMs: number, afterMs = 20, length = FRAME_BYTES): void => {
      nowMs += afterMs;
      message.audio.fill(fill, 0, length);
      message.audioLength = length;
      message.chunk = chunk;
      message.timestampMs = timestampMs;
      audio.take(message, nowMs);
    },
    /** First byte of each record since last asked. */
    written: () => drain(arena.shardSide(0).in).map(({ bytes }) => bytes[0]),
    timestamps: () => drain(arena.shardSide(0).in).map(({ atMs }) => atMs),
    bytes: () => Buffer.concat(drain(arena.shardSide(0).in).map(({ bytes }) => bytes)),
  };
}

function drain(ring: InRingConsumer) {
  const records: { readonly bytes: Buffer; readonly atMs: number }[] = [];
  while (ring.read())
    records.push({ bytes: Buffer.from(ring.payload.subarray(0, ring.length)), atMs: ring.timestampMs });
  return records;
}

void t.test("frames in order pass unchanged, whatever number they begin with", async (t) => {
  const { take, written, problems, counters } = setUp();
  take(1, 7, 1_000);
  take(2, 8, 1_020);
  take(3, 9, 1_040);
  t.strictSame(written(), [1, 2, 3]);
  t.strictSame(problems, []);
  t.equal(counters.framesIn, 3);
});

void t.test("a frame sent twice or late is left out", async (t) => {
  const { take, written, problems } = setUp();
  take(1, 1, 20);
  take(2, 2, 40);
  take(2, 2, 40, 0);
  take(1, 1, 20, 0);
  take(3, 3, 60);
  t.strictSame(written(), [1, 2, 3]);
  t.strictSame(problems, ["mediaLate", "mediaLate"]);
});

void t.test("lost frames become as much silence, counted or not by the carrier", async (t) => {
  const counted = setUp();
  counted.take(1, 1, 20);
  counted.take(4, 4, 80, 60);
  t.strictSame(counted.written(), [1, 0xff, 0xff, 4]);
  t.strictSame(counted.problems, ["mediaGap"]);
  t.equal(counted.counters.silenceFilledMs, 40);

  const uncounted = setUp();
  uncounted.take(1, 1, 20);
  uncounted.take(2, 2, 80, 60);
  t.strictSame(uncounted.written(), [1, 0xff, 0xff, 2], "only the timestamp tells");

  const unclocked = setUp();
  unclocked.take(1, 1, -1);
  unclocked.take(4, 4, -1, 60);
  t.strictSame(unclocked.written(), [1, 0xff, 0xff, 4], "only the count tells");

  const neither = setUp();
  neither.take(1, -1, -1);
  neither.take(2, -1, -1, 60);
  t.strictSame(neither.written(), [1, 2]);
});

void t.test("a stall and its burst are no loss: nothing is filled in", async (t) => {
  const { take, written, problems } = setUp();
  take(1, 1, 20);
  for (let chunk = 2; chunk <= 26; chunk++) take(chunk, chunk, chunk * 20, chunk === 2 ? 520 : 0);
  t.strictSame(
    written(),
    Array.from({ length: 26 }, (_, index) => index + 1),
  );
  t.strictSame(problems, []);
});

void t.test("a gap of ten seconds is filled with one", async (t) => {
  const { take, bytes, counters } = setUp();
  take(1, 1, 20);
  take(2, 502, 10_040, 10_020);
  t.equal(bytes().length, (20 + 1_000 + 20) * 8);
  t.equal(counters.silenceFilledMs, 1_000);
});

void t.test("timestamps in another unit cost a little silence once, not the call", async (t) => {
  const { take, bytes, counters } = setUp();
  // Samples instead of milliseconds: each frame seems to come 140 ms too late.
  for (let chunk = 1; chunk <= 500; chunk++) take(1, chunk, chunk * 160);
  t.ok(counters.silenceFilledMs <= 220, `${counters.silenceFilledMs} ms filled`);
  t.equal(bytes().filter((byte) => byte === 1).length, 500 * FRAME_BYTES);
});

void t.test("linear audio loses half a sample rather than its byte order", async (t) => {
  const { take, bytes, problems } = setUp({ encoding: "l16le", sampleRateHz: 16_000 });
  take(7, 1, 20, 20, 641);
  t.equal(bytes().length, 640);
  t.strictSame(problems, ["mediaOddLength"]);
  take(7, 3, 60, 40, 640);
  t.strictSame([...bytes().subarray(0, 2)], [0, 0], "its silence is zero");
});

void t.test("frames that came at one instant are told apart by their timestamps", async (t) => {
  const { take, timestamps } = setUp();
  for (let frame = 0; frame < 5; frame += 1) take(frame, frame + 1, frame * 20, 0);
  take(5, 6, 100, 20);
  const at = timestamps();
  t.equal(at.length, 6);
  t.ok(
    at.every((atMs, index) => index === 0 || atMs > at[index - 1]!),
    at.join(" "),
  );
  t.ok(at[4]! < 5_000.01 && at[5] === 5_020, "and a burst takes no time");
});
