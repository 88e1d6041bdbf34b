import t from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { toneVoice } from "#bench/speech";
import { type CarrierDialect, signalwireDialect, twilioDialect } from "./carrier.js";
import type { HeardWord } from "./ear.js";
import { encodeSpeech } from "./encoded-speech.js";
import type { LineImpairments } from "./line.js";
import { MediaLeg } from "./media-leg.js";
import { spoken } from "./speaking-peer.js";

interface WireMessage {
  readonly atMs: number;
  readonly event: string;
  readonly text: string;
  // biome-ignore format: one shape for all messages
  readonly body: { sequenceNumber?: string; streamSid?: string; media?: { track: string; chunk: string; timestamp: string; payload: string }; mark?: { name: string }; dtmf?: Record<string, unknown>; start?: Record<string, unknown> };
}

/** A leg on virtual time, with everything it sent and heard. */
function openLeg(options: { dialect?: CarrierDialect; line?: LineImpairments; seed?: number } = {}) {
  const clock = new VirtualClock();
  const sent: WireMessage[] = [];
  const heard: HeardWord[] = [];
  const closes: (number | "terminated")[] = [];
  const dialect = options.dialect ?? twilioDialect;
  const ids = {
    accountSid: dialect.newAccountSid(),
    callSid: dialect.newCallSid(),
    streamSid: dialect.newStreamSid(),
  };
  const leg = new MediaLeg(
    {
      dialect,
      ids,
      clock,
      random: seededRandom(options.seed ?? 1),
      line: options.line ?? {},
      recording: null,
      transport: {
        send: (text) => {
          const body = JSON.parse(text) as WireMessage["body"] & { event: string };
          sent.push({ atMs: clock.nowMs(), event: body.event, text, body });
        },
        close: (code) => closes.push(code),
        terminate: () => closes.push("terminated"),
      },
      listener: {
        onWord: (word, understood) => {
          if (understood) heard.push(word);
        },
        onMedia: () => {},
        onCleared: () => {},
        onDtmf: () => {},
        onViolation: () => {},
        onFrame: () => {},
      },
    },
    { tenant: "acme" },
  );
  const play = (audio: Uint8Array): void =>
    leg.receive(
      JSON.stringify({
        event: "media",
        streamSid: ids.streamSid,
        media: { payload: Buffer.from(audio).toString("base64") },
      }),
    );
  const mark = (name: string): void =>
    leg.receive(JSON.stringify({ event: "mark", streamSid: ids.streamSid, mark: { name } }));
  const clear = (): void => leg.receive(JSON.stringify({ event: "clear", streamSid: ids.streamSid }));
  const of = (event: string): WireMessage[] => sent.filter((message) => message.event === event);
  return { clock, leg, ids, sent, heard, closes, play, mark, clear, of };
}

void t.test(
  "connected and start leave back to back, then a frame every 20 ms with counters as strings",
  (t) => {
    const { clock, ids, sent, of, leg } = openLeg();
    t.same(
      sent.map((message) => message.event),
      ["connected", "start"],
    );
    t.equal(sent[1]!.body.sequenceNumber, "1");
    t.match(sent[1]!.body.start, { streamSid: ids.streamSid, customParameters: { tenant: "acme" } });
    clock.advance(60_000);
    const frames = of("media");
    t.equal(frames.length, 3000, "fifty a second for a minute, none too many or too few");
    t.same(frames[0]!.body.media, {
      track: "inbound",
      chunk: "1",
      timestamp: "20",
      payload: Buffer.alloc(160, 0xff).toString("base64"),
    });
    t.match(frames[2999]!.body, { sequenceNumber: "3001", media: { chunk: "3000", timestamp: "60000" } });
    const drift = Math.max(...frames.map((frame, index) => frame.atMs - leg.originMs - (index + 1) * 20));
    t.equal(drift, 0);
    leg.hangUp();
    t.equal(clock.timerCount, 0);
    t.end();
  },
);

/** A leg whose timers all come later than asked for; the instants at which it sent audio. */
function openLateLeg(lateMs: (nowMs: number) => number) {
  const clock = new VirtualClock();
  const late = {
    nowMs: () => clock.nowMs(),
    unixMs: () => clock.unixMs(),
    setTimer: (delayMs: number, callback: () => void) =>
      clock.setTimer(delayMs + lateMs(clock.nowMs()), callback),
  };
  const sentAt: number[] = [];
  const noop = (): void => {};
  const leg = new MediaLeg(
    {
      dialect: twilioDialect,
      ids: { accountSid: "AC1", callSid: "CA1", streamSid: "MZ1" },
      clock: late,
      random: seededRandom(7),
      line: {},
      recording: null,
      transport: {
        send: (text) => {
          if (text.includes('"event":"media"')) sentAt.push(clock.nowMs());
        },
        close: noop,
        terminate: noop,
      },
      // biome-ignore format: six times nothing
      listener: { onWord: noop, onMedia: noop, onCleared: noop, onDtmf: noop, onViolation: noop, onFrame: noop },
    },
    {},
  );
  const framesLateMs = (): number[] => sentAt.map((atMs, index) => atMs - leg.originMs - (index + 1) * 20);
  return { clock, leg, sentAt, framesLateMs };
}

void t.test("timers that come late delay single frames but never shift the ones after them", (t) => {
  const random = seededRandom(7);
  const { clock, leg, sentAt, framesLateMs } = openLateLeg(() => random.next() * 30);
  clock.advance(10 * 60_000);
  const lateMs = framesLateMs();
  t.ok(sentAt.length >= 29_995 && sentAt.length <= 30_000, `${sentAt.length} frames in ten minutes`);
  t.ok(Math.min(...lateMs) >= -1e-6, "none early");
  t.ok(Math.max(...lateMs) < 60, `late by its own timers only (${Math.max(...lateMs)} ms)`);
  leg.drop();
  t.end();
});

void t.test("a phone that stood still for three seconds catches up faster than any ring fills", (t) => {
  let standstillMs = 0;
  const { clock, leg, sentAt, framesLateMs } = openLateLeg(() => {
    const lateMs = standstillMs;
    standstillMs = 0;
    return lateMs;
  });
  clock.advance(1_000);
  standstillMs = 3_000;
  clock.advance(5_000);
  const perInstant = new Map<number, number>();
  for (const atMs of sentAt) perInstant.set(atMs, (perInstant.get(atMs) ?? 0) + 1);
  t.equal(Math.max(...perInstant.values()), 10, "200 ms of audio at once, at the most");
  t.equal(sentAt.length, 6_000 / 20, "nothing is left out");
  const lateMs = framesLateMs();
  t.ok(Math.max(...lateMs) >= 2_900, "it did stand still");
  t.ok(Math.max(...lateMs.slice(-80)) < 20, "and is in time again");
  leg.drop();
  t.end();
});

void t.test("a mark comes back at the very sample at which everything before it was played", (t) => {
  const { clock, play, mark, of, leg } = openLeg();
  clock.advance(103);
  const arrivedAtMs = clock.nowMs();
  mark("nothing queued");
  t.equal(of("mark")[0]!.atMs, arrivedAtMs, "at once");
  play(new Uint8Array(8 * 1001).fill(0x55));
  mark("greeting");
  play(new Uint8Array(8 * 333));
  mark("two");
  mark("three");
  clock.advance(5_000);
  t.same(
    of("mark").map(({ body, atMs }) => [body.mark?.name, atMs - arrivedAtMs]),
    [
      ["nothing queued", 0],
      ["greeting", 1001],
      ["two", 1334],
      ["three", 1334],
    ],
  );
  t.equal(leg.marksEchoed, 4);
  t.end();
});

void t.test("a carrier may echo marks late, or never", (t) => {
  const late = openLeg({ line: { markDelayMs: 250 } });
  late.play(new Uint8Array(8 * 100));
  late.mark("m");
  const startMs = late.clock.nowMs();
  late.clock.advance(1_000);
  t.same(
    late.of("mark").map(({ atMs }) => atMs - startMs),
    [350],
  );
  late.mark("too late");
  late.leg.hangUp();
  late.clock.advance(1_000);
  t.equal(late.sent.at(-1)!.event, "stop");
  const never = openLeg({ line: { markDelayMs: "never" } });
  never.mark("m");
  never.clock.advance(1_000);
  t.equal(never.of("mark").length, 0);
  t.end();
});

void t.test("a clear drops what was not played and brings all pending marks back at once, in order", (t) => {
  const { clock, play, mark, clear, of, leg } = openLeg();
  clock.advance(40);
  play(new Uint8Array(8 * 3000).fill(0x55));
  mark("a");
  play(new Uint8Array(8 * 3000).fill(0x55));
  mark("b");
  clock.advance(500);
  const clearedAtMs = clock.nowMs();
  clear();
  t.same(
    of("mark").map(({ body, atMs }) => [body.mark?.name, atMs - clearedAtMs]),
    [
      ["a", 0],
      ["b", 0],
    ],
  );
  t.notOk(leg.playout.isPlaying(clearedAtMs));
  t.match(leg.playout.spurts, [{ cut: true, endedAtMs: clearedAtMs }]);
  play(new Uint8Array(8 * 100));
  mark("c");
  clock.advance(1_000);
  t.equal(
    of("mark").at(-1)!.atMs - clearedAtMs,
    100,
    "the next audio plays from now, not after what was dropped",
  );
  t.end();
});

void t.test("an agent that was paused and then cut was cut, too; one that had finished was not", (t) => {
  const { clock, play, clear, leg } = openLeg();
  play(new Uint8Array(8 * 300).fill(0x55));
  clock.advance(500);
  clear();
  t.match(leg.playout.spurts, [{ cut: true, endedAtMs: leg.playout.spurts[0]!.startedAtMs + 300 }]);
  play(new Uint8Array(8 * 300).fill(0x55));
  clock.advance(3_000);
  clear();
  t.match(leg.playout.spurts, [{ cut: true }, { cut: false }]);
  t.end();
});

void t.test("the caller hears the words that were played, at the instants they were played", (t) => {
  const { clock, play, heard } = openLeg();
  clock.advance(200);
  const startMs = clock.nowMs();
  play(spoken("Good morning, how can I help?"));
  clock.advance(5_000);
  t.same(
    heard.map((word) => word.word),
    ["Good", "morning,", "how", "can", "I", "help?"],
  );
  const words = toneVoice.synthesize("Good morning, how can I help?").words;
  for (const [index, word] of heard.entries()) {
    const errorMs = word.playedAtMs - startMs - words[index]!.startMs;
    t.ok(Math.abs(errorMs) < 25, `${word.word} is off by ${errorMs} ms`);
  }
  t.end();
});

void t.test(
  "audio that comes late costs no word, wherever it broke off, and each began when it began",
  (t) => {
    const audio = spoken("one two three");
    const { words } = toneVoice.synthesize("one two three");
    // In the preamble, at the edge of a symbol, within one, at the end of a word and between two.
    const breaksMs = [10, 60, 75, words[0]!.endMs, words[0]!.endMs + 10, words[1]!.startMs + 200];
    for (const gapMs of [7, 150, 900, 2_500]) {
      for (const breakMs of breaksMs) {
        const { clock, play, heard } = openLeg();
        clock.advance(100);
        const startMs = clock.nowMs();
        play(audio.subarray(0, breakMs * 8));
        clock.advance(breakMs + gapMs);
        play(audio.subarray(breakMs * 8));
        clock.advance(3_000);
        t.same(
          heard.map(({ word }) => word),
          ["one", "two", "three"],
          `${gapMs} ms, ${breakMs} ms into it`,
        );
        for (const [index, { playedAtMs }] of heard.entries()) {
          const word = words[index]!;
          // A gap at a word's first sample is before it or in it: who could tell?
          const expected = [word.startMs, word.startMs + gapMs].filter((atMs) =>
            atMs === word.startMs ? word.startMs <= breakMs : word.startMs >= breakMs,
          );
          const errorMs = Math.min(...expected.map((atMs) => Math.abs(playedAtMs - startMs - atMs)));
          t.ok(errorMs < 25, `${word.word} is off by ${errorMs} ms`);
        }
      }
    }
    t.end();
  },
);

void t.test("after three seconds nobody puts the halves of a word together", (t) => {
  const { clock, play, heard } = openLeg();
  const audio = spoken("one two three");
  clock.advance(100);
  play(audio.subarray(0, 800));
  clock.advance(3_200);
  play(audio.subarray(800));
  clock.advance(3_000);
  t.same(
    heard.map(({ word }) => word),
    ["two", "three"],
  );
  t.end();
});

void t.test("a word that was cut in a gap is not heard, and what is said next is", (t) => {
  const { clock, play, clear, heard } = openLeg();
  clock.advance(100);
  play(spoken("one two three").subarray(0, 800));
  clock.advance(300);
  clear();
  play(spoken("four"));
  clock.advance(3_000);
  t.same(
    heard.map(({ word }) => word),
    ["four"],
  );
  t.end();
});

void t.test("words after a clear are not heard, nor the one it cut", (t) => {
  const { clock, play, clear, heard } = openLeg();
  const { words } = toneVoice.synthesize("one two three four five six");
  clock.advance(100);
  play(spoken("one two three four five six"));
  clock.advance((words[2]!.startMs + words[2]!.endMs) / 2);
  clear();
  clock.advance(3_000);
  t.same(
    heard.map((word) => word.word),
    ["one", "two"],
  );
  t.end();
});

void t.test("audio that comes too late is an underrun of the same spurt; a pause begins another", (t) => {
  const { clock, play, leg } = openLeg();
  play(new Uint8Array(8 * 100));
  clock.advance(130);
  play(new Uint8Array(8 * 100));
  clock.advance(1_000);
  play(new Uint8Array(8 * 100));
  t.match(leg.playout.spurts, [
    { underrunCount: 1, underrunMs: 30 },
    { underrunCount: 0, underrunMs: 0 },
  ]);
  t.end();
});

void t.test("what breaks the carrier's rules is reported with its code and ignored", (t) => {
  const { clock, ids, leg, of, play } = openLeg();
  const streamSid = ids.streamSid;
  const bad = [
    "not json",
    "[]",
    JSON.stringify({ event: "clear", streamSid: "MZother" }),
    JSON.stringify({ event: "clear", streamSid, extra: 1 }),
    JSON.stringify({ event: "media", streamSid, media: { payload: "" } }),
    JSON.stringify({ event: "media", streamSid, media: { payload: "ab*=" } }),
    JSON.stringify({ event: "media", streamSid, media: { payload: "YWI-" } }),
    JSON.stringify({ event: "media", streamSid, media: { payload: "YWJj", track: "outbound" } }),
    JSON.stringify({ event: "mark", streamSid, mark: {} }),
    JSON.stringify({ event: "dtmf", streamSid, dtmf: { digit: "5" } }),
    JSON.stringify({ event: "hangup", streamSid }),
  ];
  for (const text of bad) leg.receive(text);
  leg.receiveBinary();
  t.same(
    leg.violations.map((violation) => violation.code),
    [...bad.map(() => 31951), 31950],
  );
  t.notOk(leg.playout.isPlaying(clock.nowMs()));
  for (let minute = 0; minute < 12; minute++) play(new Uint8Array(8 * 60_000));
  t.same(leg.violations.slice(bad.length + 1), [
    { code: 31931, detail: "more than ten minutes queued", atMs: clock.nowMs() },
  ]);
  t.equal(leg.playout.discardedSamples, 2 * 8 * 60_000);
  clock.advance(40);
  t.ok(of("media").length > 0, "the stream goes on");
  t.end();
});

void t.test("after stop nothing is sent, whatever still arrives", (t) => {
  const { clock, leg, sent, play, mark, closes } = openLeg();
  clock.advance(100);
  mark("at once");
  leg.hangUp();
  const count = sent.length;
  t.equal(sent.at(-1)!.event, "stop");
  t.equal(sent.at(-1)!.body.sequenceNumber, String(count - 1), "the stop is counted too");
  t.same(closes, [1000]);
  play(new Uint8Array(800));
  mark("late");
  leg.hangUp();
  clock.advance(1_000);
  t.equal(sent.length, count);
  t.equal(clock.timerCount, 0);
  t.end();
});

void t.test("a dropped line ends without a stop", (t) => {
  const { clock, leg, closes, of } = openLeg();
  clock.advance(100);
  leg.drop();
  t.same(closes, ["terminated"]);
  t.equal(of("stop").length, 0);
  t.end();
});

void t.test("what is said goes out in whole frames, and its end is the last speech sample's frame", (t) => {
  const { clock, leg, of } = openLeg();
  const speech = encodeSpeech(toneVoice, "Hello there.");
  const spokenAt: number[] = [];
  clock.advance(45);
  leg.say({
    speech,
    onStarted: (atMs) => spokenAt.push(atMs),
    onEnded: (sentAtMs, intendedAtMs) => spokenAt.push(sentAtMs, intendedAtMs),
  });
  clock.advance(5_000);
  const silence = Buffer.alloc(160, 0xff).toString("base64");
  const talking = of("media").filter((frame) => frame.body.media?.payload !== silence);
  t.equal(spokenAt[0], talking[0]!.atMs);
  t.equal(spokenAt[1], talking.at(-1)!.atMs);
  t.equal(spokenAt[2], spokenAt[1]);
  t.end();
});

void t.test("digits are pressed one after the other, in the carrier's own form", (t) => {
  const twilio = openLeg();
  twilio.leg.dtmf("12#");
  twilio.clock.advance(1_000);
  t.same(
    twilio.of("dtmf").map((message) => message.body.dtmf),
    ["1", "2", "#"].map((digit) => ({ track: "inbound_track", digit })),
  );
  const signalwire = openLeg({ dialect: signalwireDialect });
  signalwire.leg.dtmf("5");
  signalwire.clock.advance(100);
  t.match(signalwire.of("dtmf")[0]!.body.dtmf, { digit: "5", duration: Number });
  t.end();
});

void t.test("SignalWire's messages differ where its documentation says so", (t) => {
  const { clock, leg, sent, of, mark } = openLeg({ dialect: signalwireDialect });
  mark("m");
  clock.advance(40);
  leg.hangUp();
  t.match(sent[0]!.text, '"version":"0.2.0"');
  t.equal(sent[1]!.body.streamSid, undefined);
  t.match(of("media")[0]!.body, { media: { chunk: "1", timestamp: "0" } });
  t.equal(of("media")[0]!.body.streamSid, undefined);
  t.equal(of("mark")[0]!.body.sequenceNumber, undefined);
  t.same(Object.keys(of("stop")[0]!.body).sort(), ["event", "sequenceNumber"]);
  t.end();
});
