/**
 * A recogniser's connection that breaks, over real sockets: at every point of what a caller says, in the
 * tick of every message, again and again, and on to another recogniser. Each word is final exactly once.
 */
import t, { type Test } from "tap";
import { type DeepgramFault, exactly, startEmulators } from "#bench/emulators";
import { toneVoice } from "#bench/speech";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K, encodeInto } from "#runtime/media";
import { KeptLog, PLANTED_KEY, advanceUntil } from "../compliance-kit.js";
import { createProviders } from "../providers.js";
import { providerDefaults } from "../settings.js";
import { ReplayingStt } from "./replaying-stt.js";
import { Listening, SILENCE } from "./stt.witness.js";

const emulators = await startEmulators({
  apiKey: PLANTED_KEY,
  latency: { sttInterimMs: exactly(2), sttFinalMs: exactly(5), sttFinalizeMs: exactly(2) },
});
t.teardown(() => emulators.close());
const { deepgram, assemblyai } = emulators;

/** Words twice running, and again later: what a careless dedupe would swallow. */
const FIRST = "No no, nine nine one";
const SECOND = "one nine, thank you";
const HEARD = "no no nine nine one one nine thank you";
/** Between the sentences: finals come in it. */
const PAUSE_FRAMES = 30;
const AUDIO = Buffer.concat([
  spoken(FIRST),
  ...Array.from({ length: PAUSE_FRAMES }, () => SILENCE),
  spoken(SECOND),
]);

function spoken(text: string): Uint8Array {
  const { samples } = toneVoice.synthesize(text);
  const audio = new Uint8Array(samples.length);
  encodeInto("mulaw", samples, 0, samples.length, audio, 0);
  return audio;
}

type SttName = "deepgram" | "deepgram-flux" | "assemblyai";
const MODELS = {
  deepgram: "nova-3",
  "deepgram-flux": "flux-general-en",
  assemblyai: "universal-streaming-english",
} as const satisfies Record<SttName, string>;

interface Rig {
  readonly stt: ReplayingStt;
  readonly clock: VirtualClock;
  readonly outcomes: string[];
}

function rig(t: Test, names: readonly SttName[] = ["deepgram"]): Rig {
  const clock = new VirtualClock();
  const random = seededRandom(1);
  const log = new KeptLog();
  const url = emulators.urls.deepgram;
  const providers = createProviders(
    {
      deepgram: { ...providerDefaults.deepgram, apiKey: PLANTED_KEY, url, warmPerKind: 0 },
      assemblyai: {
        ...providerDefaults.assemblyai,
        apiKey: PLANTED_KEY,
        url: emulators.urls.assemblyai,
        warmPerKind: 0,
      },
    },
    { clock, random, log },
  );
  const outcomes: string[] = [];
  const stt = new ReplayingStt({
    choices: names.map((name) => ({
      provider: providers.stt(name),
      model: MODELS[name],
    })),
    onOutcome: (index, error) => void outcomes.push(`${index} ${error?.code ?? "works"}`),
    clock,
    random,
    log,
  });
  t.teardown(async () => {
    deepgram.faults.clear();
    assemblyai.faults.clear();
    await stt.close();
    await providers.close();
  });
  return { stt, clock, outcomes };
}

/** Says everything, in one go or with the server's turns in between, and waits for the last word's final. */
async function hear({ stt, clock }: Rig, at: "once" | "length"): Promise<Listening> {
  const request = { callId: "call-1", model: "", language: "en", format: MULAW_8K, keyterms: [] };
  const call = new Listening(stt, request, clock);
  const endsAtMs = clock.nowMs() + 20_000;
  for (let from = 0; from < AUDIO.length; from += 160) {
    call.write(AUDIO.subarray(from, from + 160), true);
    if (at === "length") await new Promise((resolve) => setImmediate(resolve));
  }
  call.pause();
  // Silence goes on as time does: a break within the pause leaves the rest of it to be heard.
  await advanceUntil(clock, () => {
    for (let frame = 0; frame < 5; frame++) call.write(SILENCE, false);
    return call.heard().endsWith("thank you") || call.recorder.error !== null || clock.nowMs() > endsAtMs;
  });
  return call;
}

function check(t: Test, call: Listening, what: string): void {
  t.equal(call.heard(), HEARD, what);
  t.same(call.recorder.faults, [], what);
  let lastMs = -1;
  for (const { word, startMs, endMs } of call.words()) {
    t.ok(startMs >= lastMs && endMs <= call.writtenMs, `${what}: ${word} at ${startMs}`);
    lastMs = startMs;
  }
}

function arm(fault: DeepgramFault, count = 1): void {
  deepgram.faults.arm(fault, { count });
}

void t.test("a drop at every point of two sentences: each word once, at its own time", async (t) => {
  const whole = await hear(rig(t), "once");
  check(t, whole, "without a drop");
  const times = whole.words().map(({ startMs }) => startMs);
  const lengthMs = AUDIO.length / 8;
  for (let afterAudioMs = 20; afterAudioMs < lengthMs; afterAudioMs += 80) {
    const one = rig(t);
    arm({ kind: "drop", afterAudioMs });
    const call = await hear(one, afterAudioMs % 160 === 20 ? "once" : "length");
    check(t, call, `dropped after ${afterAudioMs} ms`);
    for (const [index, { startMs }] of call.words().entries()) {
      const apartMs = Math.abs(startMs - times[index]!);
      t.ok(apartMs <= 20, `dropped after ${afterAudioMs} ms: word ${index} ${apartMs} ms apart`);
    }
    t.ok(one.outcomes.includes("0 STT_STREAM_BROKEN"), `dropped after ${afterAudioMs} ms: it did`);
  }
});

void t.test("a drop in the tick of each message: what it told is not told again", async (t) => {
  for (let afterMessages = 1; afterMessages <= 12; afterMessages++) {
    const one = rig(t);
    arm({ kind: "drop", afterMessages });
    check(t, await hear(one, "length"), `dropped after ${afterMessages} messages`);
  }
});

void t.test("ends of other kinds, and one break upon another", async (t) => {
  const garbage = rig(t);
  arm({ kind: "garbage", afterAudioMs: 500 });
  check(t, await hear(garbage, "length"), "garbage");
  t.ok(garbage.outcomes.includes("0 STT_PROTOCOL_ERROR"));
  const often = rig(t);
  // Each connection gets one of them, each a little later in what is left to say.
  for (let at = 300; at <= 1_200; at += 300) arm({ kind: "drop", afterAudioMs: at });
  check(t, await hear(often, "length"), "four breaks at once");
  const thrice = rig(t);
  arm({ kind: "drop", afterMessages: 2 }, 3);
  check(t, await hear(thrice, "length"), "three connections of two messages each");
  t.equal(thrice.outcomes.filter((outcome) => outcome === "0 STT_STREAM_BROKEN").length, 3);
});

void t.test("on to the next recogniser, whose words end where they please", async (t) => {
  for (let afterAudioMs = 100; afterAudioMs < AUDIO.length / 8; afterAudioMs += 400) {
    const next = afterAudioMs % 800 === 100 ? "deepgram-flux" : "assemblyai";
    const two = rig(t, ["deepgram", next]);
    arm({ kind: "drop", afterAudioMs });
    deepgram.faults.arm(
      { kind: "refuse", status: 503 },
      { when: ({ flavour }) => flavour === "v1" && deepgram.openedCount > opened },
    );
    const opened = deepgram.openedCount;
    check(t, await hear(two, "length"), `gone after ${afterAudioMs} ms`);
    t.same(
      two.outcomes.filter((outcome) => outcome !== "0 works"),
      ["0 STT_STREAM_BROKEN", "0 STT_CONNECT_FAILED", "1 works"],
    );
  }
});

void t.test("a recogniser whose finals come once a turn: drops within it", async (t) => {
  for (let afterAudioMs = 100; afterAudioMs < AUDIO.length / 8; afterAudioMs += 400) {
    const one = rig(t, ["assemblyai"]);
    assemblyai.faults.arm({ kind: "drop", afterAudioMs });
    const call = await hear(one, "length");
    check(t, call, `dropped after ${afterAudioMs} ms`);
    t.ok(one.outcomes.includes("0 STT_STREAM_BROKEN"), "it did");
  }
});

void t.test("a recogniser that hears speech and goes quiet is left for the next", async (t) => {
  const two = rig(t, ["deepgram", "deepgram-flux"]);
  arm({ kind: "halfOpen", afterAudioMs: 1_000 });
  const call = await hear(two, "length");
  t.equal(call.recorder.error, null);
  check(t, call, "half-open");
  // Whether the first had shown a word by then is the network's to say; only then does its breaker hear of the stall.
  t.equal(two.outcomes.at(-1), "1 works");
  t.notOk(
    two.outcomes.slice(0, -1).some((outcome) => outcome.startsWith("1")),
    "asked once",
  );
});
