import t from "tap";
import { seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { encodeForLeg, mixAt, noise, syllables, toneVoice } from "#bench/speech";
import { AudioLevels, EchoGuard, FrameKind, SILENCE_DB, VadEvent, VoiceActivity, ourWords } from "./index.js";

/** The agent begins to speak at this instant of the call. */
const AGENT_AT_MS = 200;
const TONES = toneVoice.synthesize(
  "Thank you for calling. This is Ada speaking, how can I help you today?",
).samples;
const DELAYS_MS = Array.from({ length: 16 }, (_, index) => index * 20);

interface Line {
  readonly agent: Int16Array;
  readonly echoLossDb: number;
  readonly echoDelayMs: number;
  readonly caller?: { readonly samples: Int16Array; readonly atMs: number };
  /** How far our idea of when audio plays is off. */
  readonly playoutErrorMs?: number;
  readonly noiseDb?: number;
}

/** These bytes play from `playAtMs` on. */
function noteSent(
  guard: EchoGuard,
  bytes: Uint8Array,
  offset: number,
  length: number,
  playAtMs: number,
): void {
  const levels = new AudioLevels(MULAW_8K);
  levels.push(bytes.subarray(offset, offset + length));
  for (let frame = 0; frame < levels.frameCount; frame += 1)
    guard.noteSentLevel(levels.at(frame), playAtMs + frame * 20);
}

/** The instants at which caller speech was told while agent, echo and caller were on the line. */
function speechStarts(line: Line): { starts: number[]; guard: EchoGuard } {
  const received = noise(line.agent.length / 8 + 1_500, line.noiseDb ?? -60, "white", seededRandom(1));
  mixAt(received, line.agent, AGENT_AT_MS + line.echoDelayMs, 10 ** (-line.echoLossDb / 20));
  if (line.caller !== undefined) mixAt(received, line.caller.samples, line.caller.atMs);
  const sentBytes = encodeForLeg(line.agent, MULAW_8K);
  const receivedBytes = encodeForLeg(received, MULAW_8K);
  const guard = new EchoGuard();
  const voice = new VoiceActivity(MULAW_8K, { echoGuard: guard });
  const starts: number[] = [];
  for (let offset = 0; offset + 160 <= receivedBytes.length; offset += 160) {
    const atMs = (offset + 160) / 8;
    const sentAt = offset - AGENT_AT_MS * 8;
    if (sentAt >= 0 && sentAt + 160 <= sentBytes.length) {
      noteSent(guard, sentBytes, sentAt, 160, offset / 8 + (line.playoutErrorMs ?? 0));
    }
    if (voice.push(receivedBytes, offset, 160, atMs) === VadEvent.speechStart) starts.push(atMs);
  }
  return { starts, guard };
}

void t.test("our own echo at −20 dB never counts as the caller, whatever its delay", async (t) => {
  for (const echoDelayMs of DELAYS_MS) {
    for (const agent of [TONES, syllables(6_000, -20, seededRandom(2))]) {
      for (const playoutErrorMs of [-7, 0, 13]) {
        const { starts } = speechStarts({ agent, echoLossDb: 20, echoDelayMs, playoutErrorMs });
        t.same(starts, [], `delay ${echoDelayMs} ms, playout off by ${playoutErrorMs} ms`);
      }
    }
  }
});

void t.test("without the guard the same echo does count: it is the guard that keeps it out", async (t) => {
  const received = noise(3_000, -60, "white", seededRandom(1));
  mixAt(received, TONES, 300, 0.1);
  const bytes = encodeForLeg(received, MULAW_8K);
  const voice = new VoiceActivity(MULAW_8K);
  t.equal(voice.push(bytes, 0, 4_000, 500), VadEvent.speechStart);
});

void t.test("a caller as loud as the agent is told from echo within 100 ms", async (t) => {
  for (const echoDelayMs of DELAYS_MS) {
    for (let seed = 1; seed <= 4; seed += 1) {
      const random = seededRandom(seed);
      const levelDb = seed % 2 === 0 ? -20 : -18;
      const agent = seed % 2 === 0 ? syllables(5_000, levelDb, random) : TONES;
      const atMs = 1_000 + 1_500 * random.next();
      const caller = { samples: syllables(800, levelDb, random), atMs };
      const { starts } = speechStarts({ agent, echoLossDb: 20, echoDelayMs, caller });
      const what = `seed ${seed}, delay ${echoDelayMs} ms: at ${atMs.toFixed(0)}, told at ${starts.join(" ")}`;
      t.ok(starts.length > 0 && starts[0]! >= atMs && starts[0]! - atMs < 100, what);
    }
  }
});

void t.test(
  "an echo louder than the guard expects is learned within two seconds of agent speech",
  async (t) => {
    for (const echoDelayMs of [0, 120, 300]) {
      const agent = syllables(12_000, -20, seededRandom(3));
      const { starts, guard } = speechStarts({ agent, echoLossDb: 9, echoDelayMs });
      t.ok(starts.length > 0, "at first it passes for a caller");
      t.ok(
        starts.at(-1)! < AGENT_AT_MS + echoDelayMs + 2_100,
        `delay ${echoDelayMs} ms: ${starts.join(" ")}`,
      );
      t.ok(guard.returnLossDb <= 9);
    }
  },
);

void t.test(
  "on a line without echo fainter callers get through, and an echo of −20 dB that sets in still does not",
  async (t) => {
    const agent = syllables(12_000, -20, seededRandom(4));
    const faint = { samples: syllables(1_000, -34, seededRandom(5)), atMs: 8_000 };
    const clean = speechStarts({ agent, echoLossDb: 100, echoDelayMs: 0, caller: faint });
    t.ok(
      clean.starts.length > 0 && clean.starts[0]! >= 8_000 && clean.starts[0]! < 8_300,
      clean.starts.join(" "),
    );
    t.equal(clean.guard.returnLossDb, 18);
    const echoLater = {
      samples: agent.subarray(8_000 * 8, 11_000 * 8).map((sample) => sample / 10),
      atMs: 8_300,
    };
    t.same(speechStarts({ agent, echoLossDb: 100, echoDelayMs: 0, caller: echoLater }).starts, []);
  },
);

void t.test("however loud an echo was, a caller as loud as the agent is never taken for it", async (t) => {
  const agent = syllables(8_000, -20, seededRandom(6));
  const { guard } = speechStarts({ agent, echoLossDb: 1, echoDelayMs: 100 });
  t.equal(guard.returnLossDb, 6);
});

void t.test("ten seconds later nothing is left of what was played", async (t) => {
  const guard = new EchoGuard();
  guard.noteSentLevel(-18, 1_000);
  t.equal(guard.isEcho(-38, 1_100), true);
  t.equal(guard.isEcho(-38, 1_000 + 512 * 20 + 100), false);
});

void t.test("after a stall of most of a second the burst's echo is still known for echo", async (t) => {
  const received = noise(4_000, -60, "white", seededRandom(1));
  mixAt(received, TONES.subarray(0, 1_000 * 8), 1_300, 0.1);
  const bytes = encodeForLeg(received, MULAW_8K);
  const sent = encodeForLeg(TONES.subarray(0, 1_000 * 8), MULAW_8K);
  const guard = new EchoGuard();
  const voice = new VoiceActivity(MULAW_8K, { echoGuard: guard });
  noteSent(guard, sent, 0, sent.length, 1_000);
  for (let atMs = 20; atMs <= 4_000; atMs += 20) {
    // Nothing arrives from 2.0 to 2.9 s, then everything at once: the echo ends at 2.3.
    const arrivedAtMs = atMs > 2_000 && atMs < 2_900 ? 2_900 : atMs;
    t.equal(voice.push(bytes, (atMs - 20) * 8, 160, arrivedAtMs), VadEvent.none, `frame of ${atMs}`);
  }
});

void t.test("what may be playing counts as played, whenever it was thought to", async (t) => {
  const guard = new EchoGuard();
  guard.noteSentLevel(-18, 1_000);
  t.equal(guard.isEcho(-38, 2_000), false, "the estimate is a second off");
  guard.noteMaybe(-18, 1_900);
  t.equal(guard.isEcho(-38, 2_000), true);
  t.equal(guard.isEcho(-20, 2_000), false, "a caller as loud as we are is heard all the same");
});

void t.test("levels of a stretch of audio are known by position, whatever its pieces", async (t) => {
  const levels = new AudioLevels(MULAW_8K);
  const loud = new Uint8Array(160 * 5).map((_, index) => (index % 16 < 8 ? 0x9f : 0x1f));
  const silence = new Uint8Array(160 * 5).fill(0xff);
  for (const piece of [silence.subarray(0, 90), silence.subarray(90), loud]) levels.push(piece);
  t.equal(levels.loudest(0, 100), SILENCE_DB);
  t.ok(levels.loudest(0, 101) > -20);
  t.ok(levels.loudest(190, 400) > -20);
  t.equal(levels.loudest(200, 400), SILENCE_DB, "there is no more yet");
  levels.reset();
  t.equal(levels.loudest(0, 200), SILENCE_DB);
});

void t.test("of each stretch of the line it is remembered whether it was speech or echo", async (t) => {
  const sent = encodeForLeg(TONES, MULAW_8K);
  const guard = new EchoGuard();
  noteSent(guard, sent, 0, 1_000 * 8, 1_000);
  const voice = new VoiceActivity(MULAW_8K, { echoGuard: guard });
  const received = noise(30_000, -60, "white", seededRandom(1));
  mixAt(received, TONES.subarray(0, 1_000 * 8), 1_000, 0.1);
  mixAt(received, TONES.subarray(0, 500 * 8), 3_000);
  const bytes = encodeForLeg(received, MULAW_8K);
  const push = (untilMs: number): void => {
    for (let at = voice.positionMs; at < untilMs; at += 20) voice.push(bytes, at * 8, 160, at + 20);
  };
  push(4_000);
  t.ok(voice.msOf(FrameKind.echo, 1_000, 2_000) > 600);
  t.equal(voice.msOf(FrameKind.speech, 1_000, 2_000), 0);
  t.ok(voice.msOf(FrameKind.speech, 3_000, 3_500) > 300);
  t.equal(voice.msOf(FrameKind.echo, 3_000, 3_500), 0);
  t.equal(voice.msOf(FrameKind.quiet, 2_500, 2_510), 10, "to the millisecond");
  t.equal(voice.msOf(FrameKind.quiet, 4_000, 5_000), 0, "still to come");
  push(28_000);
  t.equal(voice.msOf(FrameKind.speech, 3_000, 3_500), 0, "forgotten");
});

const PLAYED =
  "Sure, I can book that for you. Would Tuesday at three work, or do you prefer Wednesday?".split(" ");

function foreignCount(heard: string, played: readonly string[] = PLAYED): number {
  return ourWords(heard.split(" "), played).filter((isOurs) => !isOurs).length;
}

void t.test("a transcript of what we just said is echo, with a wrong word, cut off anywhere", async (t) => {
  for (const heard of [
    "would tuesday at three work",
    "I can look that for you",
    "can book that you",
    "Would Tuesday at the three work?",
    "tuesday at three work or do you pre",
    "wednesday",
  ]) {
    t.ok(foreignCount(heard) <= 1, heard);
  }
});

void t.test("a caller's own words are not echo, even when some are ours", async (t) => {
  for (const heard of [
    "no wait",
    "tuesday works",
    "three at tuesday would work",
    "Wednesday is better for me",
    "stop",
    "can you book that for Wednesday instead",
  ]) {
    t.ok(foreignCount(heard) >= 1, heard);
  }
  t.equal(foreignCount("no wait"), 2);
  t.equal(foreignCount("Wednesday is better for me"), 4);
});

void t.test("words of ours are known one by one, also misheard or broken off", async (t) => {
  const cases: [string, string][] = [
    ["would tuezday at tgree", "++++"],
    ["no tuesday please", "-+-"],
    ["book stop that for you", "+-+++"],
    ["please hold on now", "----"],
    ["wedn", "+"],
  ];
  for (const [heard, wanted] of cases) {
    const found = ourWords(heard.split(" "), PLAYED).map((isOurs) => (isOurs ? "+" : "-"));
    t.equal(found.join(""), wanted, heard);
  }
  t.same(ourWords(["yes"], []), [false]);
  t.equal(
    ourWords(
      Array.from({ length: 65 }, () => "tuesday"),
      PLAYED,
    ).includes(true),
    false,
  );
});

void t.test("of a very long reply the last four hundred words can echo", async (t) => {
  const played = [
    ..."first things first".split(" "),
    ...Array.from({ length: 400 }, (_, index) => `w${index}`),
  ];
  t.equal(foreignCount("first things first", played), 3);
  t.equal(foreignCount("w0 w1 w2", played), 0);
  t.equal(foreignCount("w397 w398 w399", played), 0);
});
