/** ElevenLabs on virtual time, over real sockets: contexts, their bounds and what ends them. */
import t, { type Test } from "tap";
import { VirtualClock } from "#runtime/actor";
import { heardIn } from "../cartesia/voice.fixture.js";
import { exactly } from "../distribution.js";
import { type Emulators, startEmulators } from "../emulators.js";
import { EMULATOR_API_KEY, type EmulatorOptions } from "../options.js";
import { Probe } from "../probe.fixture.js";

const HEADERS = { "xi-api-key": EMULATOR_API_KEY };
const QUERY = "model_id=eleven_flash_v2_5&output_format=ulaw_8000&sync_alignment=true";

interface Stage {
  readonly clock: VirtualClock;
  readonly emulators: Emulators;
  readonly url: string;
  readonly probe: Probe;
  readonly say: (...frames: object[]) => Promise<void>;
  readonly advance: (ms: number) => Promise<void>;
  /** Of one context, in order. */
  readonly audio: (contextId: string) => Buffer;
}

async function stage(t: Test, options: EmulatorOptions = {}, query = QUERY): Promise<Stage> {
  const clock = new VirtualClock();
  const emulators = await startEmulators({ clock, latency: { ttsFirstAudioMs: exactly(40) }, ...options });
  const url = `${emulators.urls.elevenlabs}/v1/text-to-speech/a-voice/multi-stream-input`;
  const probe = await Probe.open(`${url}?${query}`, HEADERS);
  t.teardown(async () => {
    await probe.close();
    await emulators.close();
  });
  return {
    clock,
    emulators,
    url,
    probe,
    async say(...frames) {
      for (const frame of frames) probe.send(frame);
      await probe.roundTrip();
    },
    async advance(ms) {
      clock.advance(ms);
      await probe.roundTrip();
    },
    audio: (contextId) =>
      Buffer.concat(
        probe.messages
          .filter((message) => message["contextId"] === contextId)
          .map(({ audio }) => Buffer.from(typeof audio === "string" ? audio : "", "base64")),
      ),
  };
}

const text = (context_id: string, text: string, more: object = {}) => ({ text, context_id, ...more });

void t.test("what was flushed is spoken, also after the close; what was not never is", async (t) => {
  const { say, advance, audio, probe, emulators } = await stage(t);
  await say(
    text("call.1", " "),
    text("call.1", "We are open. ", { flush: true }),
    text("call.1", "Until nine. "),
    text("call.1", "Ignored.", { close_context: true }),
  );
  await advance(39);
  t.same(probe.messages, []);
  await advance(2_000);
  t.equal(heardIn(audio("call.1")), "We are open.");
  t.same(probe.messages.at(-1), { isFinal: true, contextId: "call.1" });
  t.equal(emulators.log.tts("call")[0]?.text, " We are open. ");
  t.equal(emulators.elevenlabs.activeContexts, 0);
});

void t.test("unflushed text is spoken when there is enough of it", async (t) => {
  const { say, advance, audio } = await stage(t);
  await say(text("c", "One two three four five. ".repeat(5)));
  await advance(5_000);
  t.equal(heardIn(audio("c")).split(" ").length, 25);
});

void t.test("characters are timed from their chunk's start, and cover its words", async (t) => {
  const { say, advance, probe } = await stage(t);
  await say(text("c", "Good morning. ", { flush: true }));
  await advance(2_000);
  let said = "";
  for (const { alignment } of probe.messages) {
    if (alignment === null || alignment === undefined) continue;
    const { chars, charStartTimesMs } = alignment as { chars: string[]; charStartTimesMs: number[] };
    said += chars.join("");
    t.ok(charStartTimesMs.every((startMs) => startMs >= 0 && startMs <= 100));
  }
  t.equal(said, "Good morning. ");
});

void t.test(
  "a sixth context on a socket, or settings after the first message, close it by 1008",
  async (t) => {
    const full = await stage(t);
    for (const id of ["a", "b", "c", "d", "e", "f"]) full.probe.send(text(id, " "));
    t.equal((await full.probe.closed).code, 1008);
    const late = await stage(t);
    for (const more of [{}, { voice_settings: { speed: 1 } }]) late.probe.send(text("a", " ", more));
    t.equal((await late.probe.closed).code, 1008);
    t.match(late.probe.messages.at(-1), { error: "invalid_message", code: 1008 });
  },
);

void t.test("over the plan's concurrency a context is refused alone", async (t) => {
  const { say, probe } = await stage(t, { limits: { elevenLabsContexts: 1 } });
  await say(text("a", " "), text("b", " "));
  t.match(probe.messages, [{ error: "too_many_concurrent_requests", code: 429, contextId: "b" }]);
});

void t.test(
  "inactivity ends a context, an empty text keeps it, and nothing at all ends the socket",
  async (t) => {
    const { say, advance, probe, clock } = await stage(t);
    await say(text("a", " "), text("b", " "));
    await advance(19_000);
    await say(text("a", ""));
    await advance(2_000);
    t.same(probe.messages, [{ isFinal: true, contextId: "b" }]);
    await advance(18_000);
    t.same(probe.messages.at(-1), { isFinal: true, contextId: "a" });
    clock.advance(20_000);
    t.equal((await probe.closed).code, 1008);
  },
);

void t.test("a wrong key, model, format or time-out is refused at the door", async (t) => {
  const { url } = await stage(t);
  const refused = async (query: string, headers = HEADERS) =>
    (await Probe.refused(`${url}?${query}`, headers)).status;
  t.equal(await refused(QUERY, { "xi-api-key": "wrong" }), 401);
  t.equal(await refused(QUERY.replace("flash_v2_5", "v3")), 400);
  t.equal(await refused(QUERY.replace("ulaw_8000", "mp3_44100_128")), 400);
  t.equal(await refused(`${QUERY}&inactivity_timeout=181`), 400);
});
