/** When what leaves for the carrier, on virtual time and over a real ring. */
import t from "tap";
import { seededRandom, VirtualClock } from "#runtime/actor";
import {
  Arena,
  type AudioFormat,
  bytesPerMs,
  FrameGrid,
  MULAW_8K,
  type OutRingProducer,
  RECORD_PAYLOAD_BYTES,
  RecordKind,
} from "#runtime/media";
import { HotHistogram } from "#runtime/telemetry";
import { NEVER_MS, type OutRecords, Playout, type PlayoutSink, PreparedRecords } from "./playout.js";
import { Pump, PUMP_TICK_MS, type Pumped } from "./pump.js";

const PIECE_MS = 100;
const LEAD_MS = 200;

interface Sent {
  readonly kind: "audio" | "mark" | "clear" | "cue";
  readonly atMs: number;
  readonly audio: Buffer;
  readonly epoch: number;
  readonly id: number;
}

class NotingSink implements PlayoutSink {
  readonly sent: Sent[] = [];
  readonly #clock: VirtualClock;
  onAudio: (() => void) | null = null;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  sendAudio(audio: Buffer, lengthBytes: number): void {
    this.#note("audio", { audio: Buffer.from(audio.subarray(0, lengthBytes)) });
    this.onAudio?.();
  }

  sendMark(epoch: number, id: number): void {
    this.#note("mark", { epoch, id });
  }

  sendClear(epoch: number, nowMs: number): void {
    this.#note("clear", { epoch, atMs: nowMs });
  }

  cueSent(id: number, sentAtMs: number): void {
    this.#note("cue", { id, atMs: sentAtMs });
  }

  of(kind: Sent["kind"]): Sent[] {
    return this.sent.filter((sent) => sent.kind === kind);
  }

  #note(kind: Sent["kind"], more: Partial<Sent>): void {
    this.sent.push({ kind, atMs: this.#clock.nowMs(), audio: Buffer.alloc(0), epoch: 0, id: 0, ...more });
  }
}

/** `startMs`: off the grid of whole ticks, as real starts are. */
function setUp(format: AudioFormat = MULAW_8K, clock = new VirtualClock({ startMs: 1_000_003.7 })) {
  const pump = new Pump(clock);
  const arena = Arena.create({ slotCount: 1, outRecordCount: 1024 });
  const sink = new NotingSink(clock);
  const pacing = new HotHistogram("h", "help", [0.001, 5]);
  const options = {
    pieceMs: PIECE_MS,
    leadMs: LEAD_MS,
    grid: pump.grid,
  };
  const playout = new Playout(arena.edgeSide(0).out, format, 0, sink, pacing, options);
  const leg: Pumped = { pump: (nowMs) => playout.pump(nowMs), pumpIndex: -1, pumpDueAtMs: NEVER_MS };
  const out: OutRingProducer = arena.shardSide(0).out;
  const msBytes = bytesPerMs(format);
  const startMs = clock.nowMs();
  return {
    clock,
    pump,
    sink,
    pacing,
    playout,
    out,
    startMs,
    wake: () => pump.wake(leg),
    /** Writes so many milliseconds of audio, filled with `fill`, and rings. */
    say: (ms: number, fill = 1): void => {
      const audio = Buffer.alloc(ms * msBytes, fill);
      if (out.tryWriteAudio(audio, 0, audio.length, 0) < audio.length) throw new Error("the ring is full");
      pump.wake(leg);
    },
    event: (kind: RecordKind, id: number): void => {
      if (!out.tryWriteU32(kind, id, 0)) throw new Error("the ring is full");
      pump.wake(leg);
    },
    /** Of each audio message: when, from the start, and how long. */
    pieces: () =>
      sink.of("audio").map(({ atMs, audio }) => [Math.round(atMs - startMs), audio.length / msBytes]),
  };
}

void t.test("the first piece leaves at once with whatever is there; later ones are whole", async (t) => {
  const { say, pieces, clock } = setUp();
  say(20);
  t.strictSame(pieces(), [[0, 20]]);
  say(60);
  t.strictSame(pieces().slice(1), [[0, 60]], "another part: the carrier would soon run dry");
  say(20);
  t.equal(pieces().length, 2, "with 80 ms in hand a part waits for more");
  say(400);
  clock.advance(1_000);
  t.strictSame(pieces(), [
    [0, 20],
    [0, 60],
    [0, 100],
    [80, 100],
    [180, 100],
    [280, 100],
    [420, 20],
  ]);
});

void t.test(
  "the end of a reply leaves before the carrier runs dry, also when no mark pushes it",
  async (t) => {
    const { say, pieces, clock } = setUp();
    say(230);
    clock.advance(1_000);
    t.strictSame(pieces(), [
      [0, 100],
      [0, 100],
      [140, 30],
    ]);
  },
);

void t.test("a mark leaves right behind the audio before it, and pushes a part out", async (t) => {
  const { say, event, sink, clock, startMs } = setUp();
  event(RecordKind.mark, 1);
  t.strictSame(
    sink.sent.map(({ kind }) => kind),
    ["mark"],
    "with nothing before it, at once",
  );
  say(230);
  event(RecordKind.mark, 2);
  clock.advance(1_000);
  const order = sink.sent.map(({ kind, atMs, id, audio }) => [
    kind,
    Math.round(atMs - startMs),
    id || audio.length / 8,
  ]);
  t.strictSame(order, [
    ["mark", 0, 1],
    ["audio", 0, 100],
    ["audio", 0, 100],
    ["audio", 30, 30],
    ["mark", 30, 2],
  ]);
});

void t.test("a reply of 60 seconds takes ten messages a second and not fifty", async (t) => {
  const { say, pieces, clock } = setUp();
  for (let second = 0; second < 60; second++) {
    say(1_000);
    clock.advance(1_000);
  }
  clock.advance(1_000);
  t.equal(pieces().length, 600);
});

void t.test("over an hour nothing drifts: lead and pacing are what they were at the start", async (t) => {
  const { say, sink, clock, pacing, startMs, pump } = setUp();
  const hourMs = 3_600_000;
  say(2_000);
  for (let saidMs = 2_000; saidMs < hourMs; saidMs += 2_000) {
    say(2_000);
    clock.advance(2_000);
  }
  clock.advance(3_000);
  const audio = sink.of("audio");
  t.equal(
    audio.reduce((bytes, sent) => bytes + sent.audio.length, 0),
    hourMs * 8,
  );
  let sentMs = 0;
  let worst = 0;
  for (const { atMs, audio: piece } of audio) {
    // Before it is sent, what was sent so far ends this much ahead of real time.
    const leadMs = sentMs - (atMs - startMs);
    sentMs += piece.length / 8;
    if (sentMs > 2 * PIECE_MS) worst = Math.max(worst, Math.abs(leadMs + piece.length / 8 - LEAD_MS));
  }
  t.ok(worst <= PUMP_TICK_MS, `the lead strays ${worst} ms from ${LEAD_MS}`);
  t.ok(pacing.count > 35_000);
  t.ok(pacing.max < 0.001, `worst pacing error ${pacing.max} ms where timers are never late`);
  t.equal(pump.waitingCount, 0);
});

void t.test("paced pieces leave on the common grid, wherever a reply began", async (t) => {
  const { say, sink, clock, startMs, pump } = setUp();
  const random = seededRandom(3);
  for (let reply = 0; reply < 20; reply++) {
    clock.advance(1_000 + random.next() * 100);
    const fromIndex = sink.sent.length;
    say(600);
    clock.advance(2_000);
    for (const { atMs } of sink.sent.slice(fromIndex + 2)) {
      const ticks = (atMs - startMs) / PUMP_TICK_MS;
      if (Math.abs(ticks - Math.round(ticks)) > 1e-6) t.fail(`off the grid: ${ticks} ticks`);
    }
  }
  t.equal(pump.waitingCount, 0);
  t.equal(sink.of("audio").length, 20 * 6);
});

/** Timers that fire late by up to `lateMaxMs`, as real ones do. */
class LateClock extends VirtualClock {
  readonly #random = seededRandom(7);
  readonly #lateMaxMs: number;
  constructor(lateMaxMs: number) {
    super();
    this.#lateMaxMs = lateMaxMs;
  }
  override setTimer(delayMs: number, callback: () => void) {
    return super.setTimer(delayMs + this.#random.next() * this.#lateMaxMs, callback);
  }
}

void t.test("late timers delay a piece each, and nothing adds up", async (t) => {
  const clock = new LateClock(4);
  const { say, sink, pacing, startMs } = setUp(MULAW_8K, clock);
  say(2_000);
  for (let saidMs = 2_000; saidMs < 600_000; saidMs += 2_000) {
    say(2_000);
    clock.advance(2_000);
  }
  clock.advance(1_000);
  const last = sink.of("audio").at(-1)!;
  const sentMs = sink.of("audio").reduce((bytes, sent) => bytes + sent.audio.length, 0) / 8;
  t.ok(sentMs - (last.atMs - startMs) <= LEAD_MS, "at the end of ten minutes we are as far ahead as ever");
  t.ok(sentMs - (last.atMs - startMs) >= LEAD_MS - PUMP_TICK_MS - 4);
  t.ok(pacing.count > 5_000 && pacing.max <= 4.001, `${pacing.count} pieces, worst ${pacing.max} ms`);
});

void t.test("a bumped epoch sends clear at once, and nothing older after it", async (t) => {
  const { say, event, sink, out, wake, clock, startMs } = setUp();
  say(1_000, 1);
  event(RecordKind.mark, 5);
  event(RecordKind.cue, 6);
  clock.advance(50);
  out.bumpEpoch();
  wake();
  const cleared = sink.of("clear");
  t.match(cleared, [{ epoch: 1, atMs: startMs + 50 }]);
  const before = sink.sent.length;
  clock.advance(2_000);
  t.equal(sink.sent.length, before, "no audio, mark or cue of the old reply");
  say(40, 2);
  t.match(sink.sent.slice(before), [{ kind: "audio", atMs: clock.nowMs() }], "the new reply does not wait");
  t.equal(sink.sent.at(-1)!.audio[0], 2);
  event(RecordKind.mark, 7);
  t.match(sink.sent.at(-1), { kind: "mark", epoch: 1, id: 7 });
});

void t.test(
  "two bumps without a look between are one clear, and the reply between them is not heard",
  async (t) => {
    const { say, sink, out, wake } = setUp();
    say(20, 1);
    out.bumpEpoch();
    out.tryWriteAudio(Buffer.alloc(160, 2), 0, 160, 0);
    out.bumpEpoch();
    out.tryWriteAudio(Buffer.alloc(160, 3), 0, 160, 0);
    wake();
    t.match(sink.of("clear"), [{ epoch: 2 }]);
    t.strictSame(
      sink.of("audio").map(({ audio }) => audio[0]),
      [1, 3],
    );
  },
);

void t.test("a pause takes effect at the end of the word that is being sent", async (t) => {
  const { say, event, sink, out, wake, clock } = setUp();
  for (let word = 1; word <= 4; word += 1) {
    say(300, word);
    event(RecordKind.mark, word);
  }
  clock.advance(250); // some 450 ms were sent: in the middle of the second word
  out.setPaused(true);
  wake();
  clock.advance(3_000);
  t.strictSame(
    sink.of("mark").map(({ id }) => id),
    [1, 2],
  );
  t.equal(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).length, 600 * 8, "two whole words");
  out.setPaused(false);
  wake();
  clock.advance(3_000);
  t.equal(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).length, 1_200 * 8);
});

void t.test(
  "an epoch bumped between the look at it and the reading is cleared for before its audio",
  async (t) => {
    const clock = new VirtualClock();
    const sink = new NotingSink(clock);
    // Each step of the ring as the edge sees it: the epoch when looked at, and the record it then takes.
    let epoch = 0;
    const script = [
      { bumpTo: 0, recordEpoch: 0, fill: 1 },
      { bumpTo: 2, recordEpoch: 1, fill: 2 },
      { bumpTo: 2, recordEpoch: 2, fill: 3 },
    ];
    const records: OutRecords = {
      get epoch() {
        return epoch;
      },
      paused: false,
      kind: RecordKind.audio,
      get recordEpoch() {
        return current.recordEpoch;
      },
      length: RECORD_PAYLOAD_BYTES,
      get payload() {
        return new Uint8Array(RECORD_PAYLOAD_BYTES).fill(current.fill);
      },
      u32: () => 0,
      read() {
        const next = script.shift();
        if (next === undefined) return false;
        current = next;
        epoch = next.bumpTo;
        return true;
      },
    };
    let current = script[0]!;
    const options = { pieceMs: 100, leadMs: 200, grid: new FrameGrid(clock.nowMs(), PUMP_TICK_MS) };
    const playout = new Playout(records, MULAW_8K, 0, sink, new HotHistogram("h", "help", [1]), options);
    playout.pump(clock.nowMs());
    t.strictSame(
      sink.sent.map(({ kind, epoch, audio }) => [kind, kind === "clear" ? epoch : audio[0]]),
      [
        ["clear", 2],
        ["audio", 3],
      ],
    );
    t.equal(
      sink.sent.at(-1)!.audio.length,
      RECORD_PAYLOAD_BYTES,
      "what was pending of the old epoch is gone",
    );
  },
);

void t.test("paused, nothing leaves once a word's time is over, and it goes on where it was", async (t) => {
  const { say, sink, out, wake, clock } = setUp();
  const audio = Buffer.from(Array.from({ length: 8_000 }, (_, index) => (index >> 3) & 0xff));
  out.tryWriteAudio(audio, 0, audio.length, 0);
  wake();
  clock.advance(150);
  out.setPaused(true);
  wake();
  clock.advance(600);
  const before = sink.sent.length;
  clock.advance(3_000);
  t.equal(sink.sent.length, before);
  t.ok(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).length < 8_000, "part of it is held");
  out.setPaused(false);
  wake();
  t.equal(sink.sent.at(-1)!.atMs, clock.nowMs(), "at once: the carrier has nothing left");
  clock.advance(2_000);
  t.ok(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).equals(audio), "not a byte lost or doubled");
  say(20);
  t.equal(sink.sent.at(-1)!.audio.length, 160);
});

void t.test("an epoch bumped while paused still clears", async (t) => {
  const { say, sink, out, wake } = setUp();
  say(500);
  out.setPaused(true);
  wake();
  out.bumpEpoch();
  wake();
  t.equal(sink.of("clear").length, 1);
});

void t.test("a cue is reported when the audio after it leaves, at that instant", async (t) => {
  const { say, event, sink, clock, startMs } = setUp();
  event(RecordKind.cue, 1);
  t.equal(sink.of("cue").length, 0, "no audio yet");
  say(250, 1);
  event(RecordKind.cue, 2);
  say(100, 2);
  event(RecordKind.cue, 3);
  clock.advance(1_000);
  t.strictSame(
    sink.of("cue").map(({ id, atMs }) => [id, Math.round(atMs - startMs)]),
    [
      [1, 0],
      [2, 110],
    ],
    "the second in the piece of 50 + 60 ms, due when it fits below the lead; the third still waits",
  );
  say(20, 3);
  t.match(sink.of("cue").at(-1), { id: 3, atMs: clock.nowMs() });
});

void t.test("of too many cues for no audio the newest are kept", async (t) => {
  const { say, event, sink } = setUp();
  for (let id = 1; id <= 40; id++) event(RecordKind.cue, id);
  say(20);
  t.strictSame(
    sink.of("cue").map(({ id }) => id),
    Array.from({ length: 16 }, (_, index) => 25 + index),
  );
});

void t.test("records of any length and linear audio at 24 kHz pass unchanged", async (t) => {
  const { out, wake, sink, clock } = setUp({ encoding: "l16le", sampleRateHz: 24_000 });
  const audio = Buffer.from(Array.from({ length: 48_000 }, (_, index) => (index * 31) & 0xff));
  const random = seededRandom(11);
  for (let at = 0; at < audio.length; ) {
    const length = Math.min(audio.length - at, 1 + Math.floor(random.next() * 700));
    t.equal(out.tryWriteAudio(audio, at, length, 0), length);
    at += length;
    wake();
    clock.advance(length / 48);
  }
  clock.advance(2_000);
  t.ok(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).equals(audio));
});

void t.test("closed from within the sink, it stops there", async (t) => {
  const { say, event, sink, playout, clock } = setUp();
  event(RecordKind.cue, 1);
  sink.onAudio = () => playout.close();
  say(500);
  event(RecordKind.mark, 1);
  clock.advance(1_000);
  t.strictSame(
    sink.sent.map(({ kind }) => kind),
    ["audio"],
  );
});

void t.test("prepared audio is cleared for, paced and marked like a reply", async (t) => {
  const clock = new VirtualClock();
  const sink = new NotingSink(clock);
  const audio = Buffer.from(Array.from({ length: 5_001 }, (_, index) => index & 0xff));
  const options = { pieceMs: 100, leadMs: 200, grid: new FrameGrid(clock.nowMs(), PUMP_TICK_MS) };
  const histogram = new HotHistogram("h", "help", [1]);
  const playout = new Playout(new PreparedRecords(audio, 4, 9), MULAW_8K, 3, sink, histogram, options);
  for (let dueAtMs = playout.pump(clock.nowMs()); dueAtMs < NEVER_MS; dueAtMs = playout.pump(dueAtMs)) {
    clock.advanceTo(dueAtMs);
  }
  t.match(sink.sent[0], { kind: "clear", epoch: 4 });
  t.match(sink.sent.at(-1), { kind: "mark", epoch: 4, id: 9 });
  t.ok(Buffer.concat(sink.of("audio").map((sent) => sent.audio)).equals(audio));
  t.equal(sink.of("mark").length, 1);
});
