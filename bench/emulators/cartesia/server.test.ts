/** Cartesia on virtual time, over real sockets: contexts, their audio and its instants. */
import t from "tap";
import { EMULATOR_API_KEY } from "../options.js";
import { Probe } from "../probe.fixture.js";
import { TTS_ENCODINGS, type TtsEncoding } from "../audio-output.js";
import { TTS_SAMPLE_RATES } from "./request.js";
import { HEADERS, audioOf, frame, heardIn, of, voiceStage, wordsIn } from "./voice.fixture.js";

void t.test(
  "the first audio comes its delay after the first text, the rest at the real-time factor",
  async (t) => {
    const { open, say, advance, emulators, clock } = await voiceStage(t, { ttsRealtimeFactor: 10 });
    const probe = await open();
    const sentAtMs = clock.nowMs();
    await say(probe, frame("call-1/1", "We are open from nine to five. ", { continue: false }));
    await advance(probe, 39);
    t.same(probe.messages, []);
    await advance(probe, 1);
    t.equal(of(probe, "call-1/1", "chunk").length, 1);
    t.match(probe.messages[0], { type: "chunk", status_code: 206, done: false, step_time: Number });
    t.equal(audioOf(probe.messages).length, 800);
    await advance(probe, 9);
    t.equal(of(probe, "call-1/1", "chunk").length, 1);
    await advance(probe, 1);
    t.equal(of(probe, "call-1/1", "chunk").length, 2);
    await advance(probe, 1_000);
    t.equal(heardIn(audioOf(probe.messages)), "We are open from nine to five.");
    t.match(probe.messages.at(-1), { type: "done", context_id: "call-1/1", status_code: 200, done: true });
    t.equal(of(probe, "call-1/1", "done").length, 1);
    t.match(emulators.log.tts("call-1"), [
      {
        callId: "call-1",
        contextId: "call-1/1",
        firstTextAtMs: sentAtMs,
        plannedMs: 40,
        firstAudioSentAtMs: sentAtMs + 40,
        doneAtMs: Number,
        cancelledAtMs: null,
        text: "We are open from nine to five. ",
      },
    ]);
  },
);

void t.test("pieces are put together verbatim: a word in two of them comes out whole", async (t) => {
  const { open, say, advance } = await voiceStage(t);
  const probe = await open();
  await say(probe, frame("c", "Good mor"));
  await advance(probe, 500);
  t.equal(heardIn(audioOf(probe.messages)), "Good");
  await say(
    probe,
    frame("c", "ning, Mis"),
    frame("c", "ter "),
    frame("c", "Lu"),
    frame("c", "", { continue: false }),
  );
  await advance(probe, 2_000);
  t.equal(heardIn(audioOf(probe.messages)), "Good morning, Mister Lu");
  t.match(probe.messages.at(-1), { type: "done" });
});

void t.test("punctuation after a letter closes a word, after a digit it may be half a number", async (t) => {
  const { open, say, advance } = await voiceStage(t);
  const probe = await open();
  await say(probe, frame("a", "Certainly."), frame("b", "It costs 3."));
  await advance(probe, 500);
  t.equal(heardIn(audioOf(of(probe, "a"))), "Certainly.");
  t.equal(heardIn(audioOf(of(probe, "b"))), "It costs");
  await say(probe, frame("b", "50 dollars."));
  await advance(probe, 500);
  t.equal(heardIn(audioOf(of(probe, "b"))), "It costs 3.50 dollars.");
});

void t.test(
  "with a buffer delay, sentences come at once and what is left when the delay is over",
  async (t) => {
    const { open, say, advance } = await voiceStage(t);
    const probe = await open();
    const buffered = { max_buffer_delay_ms: 300 };
    await say(probe, frame("c", "Yes. We do have", buffered));
    await advance(probe, 40);
    await advance(probe, 200);
    t.equal(heardIn(audioOf(probe.messages)), "Yes.");
    await advance(probe, 60);
    await advance(probe, 200);
    t.equal(heardIn(audioOf(probe.messages)), "Yes. We do");
    // 3 s when nothing else is said.
    const { max_buffer_delay_ms: _none, ...unsaid } = frame("d", "Perhaps so") as Record<string, unknown>;
    await say(probe, unsaid);
    await advance(probe, 2_999);
    t.same(of(probe, "d"), []);
    await advance(probe, 500);
    t.equal(heardIn(audioOf(of(probe, "d"))), "Perhaps");
  },
);

void t.test("a flush speaks what waits, counts, and is confirmed after its audio", async (t) => {
  const { open, say, advance } = await voiceStage(t);
  const probe = await open();
  await say(probe, frame("c", "Hel"), frame("c", "", { flush: true }));
  await advance(probe, 500);
  t.equal(heardIn(audioOf(probe.messages)), "Hel");
  t.match(probe.messages.at(-1), { type: "flush_done", flush_done: true, flush_id: 1, done: false });
  await say(
    probe,
    frame("c", " again "),
    frame("c", "", { flush: true }),
    frame("c", "", { continue: false }),
  );
  await advance(probe, 1_000);
  t.same(
    of(probe, "c", "flush_done").map((message) => message["flush_id"]),
    [1, 2],
  );
  t.equal(of(probe, "c", "chunk").at(-1)?.["flush_id"], 2);
  t.match(probe.messages.at(-1), { type: "done" });
});

void t.test("word timestamps lie where the words are, on one clock for the whole context", async (t) => {
  const { open, say, advance } = await voiceStage(t);
  const probe = await open();
  const timed = { add_timestamps: true };
  await say(
    probe,
    frame("c", "Good morning. ", timed),
    frame("c", "How are you? ", { ...timed, continue: false }),
  );
  await advance(probe, 2_000);
  const words: [string, number, number][] = [];
  for (const message of of(probe, "c", "timestamps")) {
    const stamps = message["word_timestamps"] as { words: string[]; start: number[]; end: number[] };
    for (const [index, word] of stamps.words.entries())
      words.push([word, stamps.start[index]!, stamps.end[index]!]);
  }
  t.same(
    words.map(([word]) => word),
    ["Good", "morning.", "How", "are", "you?"],
  );
  const audio = audioOf(probe.messages);
  for (const [word, start, end] of words) {
    t.equal(heardIn(audio.subarray(Math.floor(start * 8000), Math.ceil(end * 8000) + 160)), word);
  }
  t.notOk(of(probe, "c", "phoneme_timestamps").length);
});

void t.test("contexts interleave on one socket, each in its own order", async (t) => {
  const { open, say, advance } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  const probe = await open();
  const texts = { a: "One two three.", b: "Four five six.", c: "Seven eight nine." };
  for (const [id, text] of Object.entries(texts)) await say(probe, frame(id, text, { continue: false }));
  await advance(probe, 5_000);
  for (const [id, text] of Object.entries(texts)) t.equal(heardIn(audioOf(of(probe, id))), text);
  const order = probe.messages
    .filter((message) => message["type"] === "chunk")
    .map((message) => message["context_id"]);
  t.same(order.slice(0, 6), ["a", "b", "c", "a", "b", "c"]);
});

void t.test("a cancelled context says no more than done, and is forgotten", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t, { ttsRealtimeFactor: 1 });
  const probe = await open();
  await say(probe, frame("call/1", "A long answer that nobody wants to hear to its end. "));
  await advance(probe, 300);
  const before = of(probe, "call/1", "chunk").length;
  t.ok(before > 0);
  await say(probe, { context_id: "call/1", cancel: true }, { context_id: "never", cancel: true });
  await advance(probe, 10_000);
  t.equal(of(probe, "call/1", "chunk").length, before);
  t.equal(of(probe, "call/1", "done").length, 1);
  t.equal(emulators.cartesia.activeContexts, 0);
  t.type(emulators.log.tts("call")[0]?.cancelledAtMs, "number");
});

void t.test("a context expires a second after its last audio, and may not be used again", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t);
  const probe = await open();
  await say(probe, frame("c", "Hello. "), frame("d", "Hello. "));
  await advance(probe, 100);
  await advance(probe, 900);
  t.equal(emulators.cartesia.activeContexts, 2);
  await say(probe, frame("d", "More. "));
  await advance(probe, 200);
  t.equal(emulators.cartesia.activeContexts, 1);
  await say(probe, frame("c", "More. "));
  t.match(of(probe, "c").at(-1), {
    type: "error",
    status_code: 400,
    done: true,
    error_code: "context_expired",
  });
  t.equal(heardIn(audioOf(of(probe, "d"))), "Hello. More.");
});

void t.test("over the concurrency a context is 429, and others are not disturbed", async (t) => {
  const { open, say, advance, emulators } = await voiceStage(t, { limits: { cartesiaContexts: 2 } });
  const probe = await open();
  const other = await open();
  await say(probe, frame("a", "One. "), frame("b", "Two. "));
  await say(other, frame("c", "Three. "));
  t.match(of(other, "c"), [
    { type: "error", status_code: 429, done: true, error_code: "concurrency_limited" },
  ]);
  await say(probe, frame("a", "", { continue: false }));
  await advance(probe, 500);
  t.equal(emulators.cartesia.activeContexts, 1);
  await say(other, frame("d", "Four. "));
  await advance(other, 500);
  t.equal(heardIn(audioOf(of(other, "d"))), "Four.");
  emulators.setLimits({ cartesiaContexts: 0 });
  t.equal((await Probe.refused(`${emulators.urls.cartesia}/tts/websocket`, HEADERS)).status, 429);
});

void t.test("contexts of a socket that goes are given back", async (t) => {
  const { open, say, emulators } = await voiceStage(t);
  const probe = await open();
  const other = await open();
  await say(probe, frame("a", "One. "), frame("b", "Two. "));
  t.equal(emulators.cartesia.activeContexts, 2);
  await probe.close();
  await other.roundTrip();
  t.equal(emulators.cartesia.activeContexts, 0);
  t.equal(emulators.cartesia.live.length, 1);
});

void t.test(
  "every encoding and rate can be heard, lasts as long, and has its words in their place",
  async (t) => {
    const { open, say, advance } = await voiceStage(t);
    const probe = await open();
    const bytesPerSample: Record<TtsEncoding, number> = {
      pcm_mulaw: 1,
      pcm_alaw: 1,
      pcm_s16le: 2,
      pcm_f32le: 4,
    };
    let durationS = 0;
    let placeMs = 0;
    for (const encoding of TTS_ENCODINGS) {
      for (const sample_rate of TTS_SAMPLE_RATES) {
        const format = { container: "raw" as const, encoding, sample_rate };
        const id = `${encoding}-${sample_rate}`;
        await say(probe, frame(id, "Good morning, Lucia. ", { output_format: format, continue: false }));
        await advance(probe, 500);
        const audio = audioOf(of(probe, id));
        t.equal(heardIn(audio, format), "Good morning, Lucia.", id);
        const lastStartMs = wordsIn(audio, format).at(-1)!.startMs;
        placeMs ||= lastStartMs;
        t.ok(Math.abs(lastStartMs - placeMs) <= 1, `${id}: ${lastStartMs} beside ${placeMs}`);
        durationS ||= audio.length / sample_rate;
        t.ok(Math.abs(audio.length / sample_rate / bytesPerSample[encoding] - durationS) < 0.001, id);
      }
    }
  },
);

void t.test("frames the vendor would not take are errors, of their context when they name one", async (t) => {
  const { open, say } = await voiceStage(t);
  const probe = await open();
  probe.socket.send("{");
  probe.socket.send(new Uint8Array(4));
  const wrong = [
    frame("a", "x", { output_format: { container: "wav", encoding: "pcm_s16le", sample_rate: 8000 } }),
    frame("a", "x", { output_format: { container: "raw", encoding: "pcm_mulaw", sample_rate: 11025 } }),
    frame("a", "x", { model_id: "tts-1" }),
    frame("a", "x", { voice: { mode: "embedding", embedding: [1] } }),
    frame("a", "x", { locale: "en-GB" }),
    frame("a", "x", { max_buffer_delay_ms: 6_000 }),
    frame("a", "x", { generation_config: { speed: 3 } }),
    frame("a", "x", { volume: 3 }),
  ];
  await say(probe, ...wrong);
  t.equal(probe.messages.length, 2 + wrong.length);
  for (const message of probe.messages) {
    t.match(message, {
      type: "error",
      status_code: 400,
      done: true,
      title: String,
      message: String,
      request_id: String,
    });
  }
  t.same(
    probe.messages.map((message) => message["context_id"]),
    [undefined, undefined, ...wrong.map(() => "a")],
  );
  // What changes within a context ends it.
  await say(probe, frame("b", "One "), frame("b", "two ", { language: "fr" }));
  t.match(of(probe, "b"), [{ type: "error", status_code: 400 }]);
});

void t.test("key and version are required, in headers or in the query", async (t) => {
  const { emulators, url } = await voiceStage(t);
  const key = EMULATOR_API_KEY;
  const refused: [Record<string, string>, number][] = [
    [{ "cartesia-version": "2026-03-01" }, 401],
    [{ "x-api-key": "other", "cartesia-version": "2026-03-01" }, 401],
    [{ "x-api-key": key }, 400],
    [{ "x-api-key": key, "cartesia-version": "latest" }, 400],
  ];
  for (const [headers, status] of refused) t.equal((await Probe.refused(url, headers)).status, status);
  for (const query of [`api_key=${key}`, `access_token=${key}`]) {
    const probe = await Probe.open(`${url}?${query}&cartesia_version=2026-03-01`);
    await probe.close();
  }
  const bearer = await Probe.open(url, { authorization: `Bearer ${key}`, "cartesia-version": "2026-03-01" });
  await bearer.close();
  t.equal((await Probe.refused(`${emulators.urls.cartesia}/tts`, HEADERS)).status, 404);
});

void t.test("a socket on which nothing happens for five minutes is closed", async (t) => {
  const { open, say, clock } = await voiceStage(t);
  const idle = await open();
  const busy = await open();
  clock.advance(200_000);
  await say(busy, frame("c", "Hello. ", { continue: false }));
  clock.advance(100_000);
  t.same(await idle.closed, { code: 1000, reason: "idle timeout" });
  await busy.roundTrip();
  clock.advance(200_100);
  t.same(await busy.closed, { code: 1000, reason: "idle timeout" });
});
