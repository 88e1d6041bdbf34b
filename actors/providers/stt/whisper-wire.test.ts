/** Utterances as requests: how they are cut, what is sent of them, and what the answers become. */
import { inspect } from "node:util";
import t, { type Test } from "tap";
import { type WhisperFault, exactly, startEmulators } from "#bench/emulators";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog, PLANTED_KEY, advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { type WhisperSettings, providerDefaults } from "../settings.js";
import { spoken } from "./emulated.fixture.js";
import { ReplayingStt } from "./replaying-stt.js";
import { Listening, SILENCE } from "./stt.witness.js";

const emulators = await startEmulators({ apiKey: PLANTED_KEY, latency: { sttFinalMs: exactly(5) } });
t.teardown(() => emulators.close());
const { whisper } = emulators;

function rig(t: Test, fields: Partial<WhisperSettings> = {}) {
  const clock = new VirtualClock();
  const log = new KeptLog();
  const random = seededRandom(1);
  const own = { apiKey: PLANTED_KEY, url: emulators.urls.whisper, interimEveryMs: 0, ...fields };
  const settings = { whisper: { ...providerDefaults.whisper, ...own } };
  const providers = createProviders(settings, { clock, random, log });
  t.teardown(async () => {
    whisper.faults.clear();
    await providers.close();
  });
  const request = {
    callId: "call-1",
    model: "large-v3",
    language: "en-GB",
    format: MULAW_8K,
    keyterms: ["Ava", "Bright Smile"],
  };
  const stt = providers.stt("whisper");
  return { stt, clock, log, random, open: () => new Listening(stt, request, clock), request };
}

/** As a call says it: with the voice activity of each frame. */
function say(call: Listening, text: string, quietFrames = 20): void {
  const audio = spoken(text);
  for (let at = 0; at < audio.length; at += 160) call.write(audio.subarray(at, at + 160), true);
  for (let frame = 0; frame < quietFrames; frame++) call.write(SILENCE, false);
}

void t.test("an utterance is one request with all that helps; silence is none", async (t) => {
  const { open } = rig(t);
  const call = open();
  const before = whisper.requestCount;
  for (let frame = 0; frame < 200; frame++) call.write(SILENCE, false);
  say(call, "Is there parking?");
  await call.untilPause();
  t.equal(whisper.requestCount, before + 1);
  t.same(whisper.lastFields, [
    ["model", "large-v3"],
    ["language", "en"],
    ["response_format", "verbose_json"],
    ["timestamp_granularities[]", "word"],
    ["timestamp_granularities[]", "segment"],
    ["temperature", "0"],
    ["prompt", "Ava, Bright Smile"],
  ]);
  t.equal(call.heard(), "is there parking");
  const [first] = call.words();
  t.ok(Math.abs(first!.startMs - 4_000) <= 40, `the call's own time, pre-roll and all: ${first!.startMs}`);
  t.equal(call.recorder.names().filter((name) => name === "onFinal").length, 1);
});

void t.test("a long utterance goes in pieces at its pauses, told in order", async (t) => {
  const { open } = rig(t);
  const call = open();
  const numbers = ["one two three", "four five six", "seven eight nine", "ten eleven twelve"];
  whisper.faults.arm({ kind: "stall", forMs: 100 });
  for (const text of numbers) {
    say(call, text, 0);
    for (let frame = 0; frame < 250; frame++) call.write(SILENCE, true); // our own voice activity hears noise
    call.stream.flush();
  }
  call.pause();
  await call.untilPause();
  t.ok(call.finals().length >= 2, `${call.finals().length} pieces`);
  t.equal(call.heard(), numbers.join(" "));
  let throughMs = -1;
  for (const { startMs, endMs } of call.finals()) {
    t.ok(startMs >= throughMs && endMs > startMs);
    throughMs = endMs;
  }
});

void t.test("one that never pauses is cut at Whisper's own length", async (t) => {
  const { open } = rig(t);
  const call = open();
  for (let frame = 0; frame < 50 * 30; frame++) call.write(SILENCE, true);
  await call.recorder.untilEvent("onFinal");
  t.equal(call.finals()[0]!.endMs, 25_000);
  call.finalize();
  await call.recorder.untilEvent("onFinal", 2);
  t.match(call.finals()[1], { startMs: 25_000, endMs: 30_000, text: "" });
});

void t.test("a final does not wait behind an interim", async (t) => {
  const { open } = rig(t, { interimEveryMs: 300 });
  const call = open();
  whisper.faults.arm({ kind: "noAnswer" }); // the first interim
  say(call, "yes please", 0);
  await eventually(() => whisper.runningCount === 1);
  call.pause();
  await call.untilPause();
  t.equal(call.heard(), "yes please");
  await eventually(() => whisper.runningCount === 0);
});

void t.test("what it made up is dropped, and words without times are spread", async (t) => {
  const { open } = rig(t);
  const call = open();
  whisper.faults.arm({ kind: "madeUp" });
  say(call, "hello there");
  await call.untilPause();
  whisper.faults.arm({ kind: "noWords" });
  say(call, "one two");
  await call.untilPause(2);
  t.equal(call.heard(), "hello there one two");
  const [one, two] = call.words().slice(2);
  t.ok(one!.endMs <= two!.startMs && two!.endMs <= call.writtenMs);
});

const failures: readonly (readonly [WhisperFault, string, object])[] = [
  [{ kind: "status", status: 429, retryAfterS: 2 }, "STT_RATE_LIMITED", { retryAfterMs: 2_000 }],
  [{ kind: "reset" }, "STT_CONNECT_FAILED", { phase: "connect" }],
  [{ kind: "noAnswer" }, "STT_TIMEOUT", { phase: "firstEvent" }],
  [{ kind: "missingEnd" }, "STT_TIMEOUT", { phase: "firstEvent" }],
  [{ kind: "status", status: 401, message: `Bad key ${PLANTED_KEY}` }, "STT_UNAUTHORIZED", { status: 401 }],
];
for (const [fault, code, detail] of failures) {
  void t.test(`${inspect(fault)} ends the stream with ${code}, the key nowhere`, async (t) => {
    const { open, clock, log } = rig(t);
    whisper.faults.arm(fault, { count: 2 }); // a reset is tried once more
    const call = open();
    say(call, "hello");
    await quietTurns();
    await advanceUntil(clock, () => call.recorder.error !== null, 1_000);
    t.equal(call.recorder.error!.code, code);
    t.match(call.recorder.error!.detail, detail);
    t.same(call.recorder.faults, []);
    t.notMatch(inspect(call.recorder.error, { depth: null, showHidden: true }) + log.text, PLANTED_KEY);
    await eventually(() => whisper.runningCount === 0);
  });
}

void t.test("an utterance whose request failed is sent again by the replay, each word once", async (t) => {
  const { stt, clock, random, log, request } = rig(t);
  const replaying = new ReplayingStt({ choices: [{ provider: stt, model: "large-v3" }], clock, random, log });
  const call = new Listening(replaying, request, clock);
  await quietTurns();
  say(call, "no no");
  await call.untilPause();
  whisper.faults.arm({ kind: "cut" });
  say(call, "one nine");
  await call.recorder.until(() => call.heard().endsWith("nine"));
  t.equal(call.heard(), "no no one nine");
  t.same(call.recorder.faults, []);
});
