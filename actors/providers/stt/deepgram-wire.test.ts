/** What goes over the wire to Deepgram: the details the emulator does not look at. */
import t from "tap";
import { eventually, quietTurns } from "../compliance-kit.js";
import { frames, listen, request, rig } from "./deepgram-wire.fixture.js";

void t.test("v1 asks for what a call needs, and only for what the model knows", async (t) => {
  const { providers, session } = await rig(t);
  providers.stt("deepgram").open(request(), listen().events);
  const { url, headers } = await session(0);
  t.equal(url.pathname, "/v1/listen");
  t.equal(headers.authorization, "Token a-key");
  t.equal(headers["sec-websocket-extensions"], undefined, "no compression: a zlib context per call");
  const query = url.searchParams;
  t.same(query.getAll("keyterm"), ["Ava", "Bright Smile"]);
  const asked = Object.fromEntries([...query].filter(([name]) => name !== "keyterm"));
  t.same(asked, {
    model: "nova-3",
    language: "en",
    encoding: "mulaw",
    sample_rate: "8000",
    channels: "1",
    interim_results: "true",
    punctuate: "true",
    vad_events: "true",
    endpointing: "100",
    utterance_end_ms: "1000",
    extra: "call_id:call-1",
  });
  const format = { encoding: "l16le", sampleRateHz: 16000 } as const;
  providers.stt("deepgram").open(request({ model: "nova-2-phonecall", format }), listen().events);
  const older = (await session(1)).url.searchParams;
  t.same(older.getAll("keywords"), ["Ava", "Bright Smile"]);
  t.notOk(older.has("keyterm"));
  t.same([older.get("encoding"), older.get("sample_rate")], ["linear16", "16000"]);
});

void t.test("Flux asks for its own options", async (t) => {
  const { providers, session } = await rig(t);
  const flux = providers.stt("deepgram-flux");
  flux.open(request({ model: "flux-general-en" }), listen().events);
  const { url } = await session(0);
  t.equal(url.pathname, "/v2/listen");
  t.same([...url.searchParams].map(([name, value]) => `${name}=${value}`).sort(), [
    "eager_eot_threshold=0.5",
    "encoding=mulaw",
    "eot_threshold=0.7",
    "eot_timeout_ms=5000",
    "keyterm=Ava",
    "keyterm=Bright Smile",
    "model=flux-general-en",
    "sample_rate=8000",
  ]);
  flux.open(request({ model: "flux-general-multi", language: "es", keyterms: [] }), listen().events);
  t.equal((await session(1)).url.searchParams.get("language_hint"), "es");
});

void t.test("at most a hundred keyterms are sent", async (t) => {
  const { providers, session } = await rig(t);
  const keyterms = Array.from({ length: 150 }, (_, index) => `term ${index}`);
  providers.stt("deepgram").open(request({ keyterms }), listen().events);
  t.equal((await session(0)).url.searchParams.getAll("keyterm").length, 100);
});

void t.test(
  "silence goes in pieces of 100 ms, speech frame by frame, and a flush or finalize sends the rest",
  async (t) => {
    const { providers, session } = await rig(t);
    const stream = providers.stt("deepgram").open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 12, false);
    await eventually(() => messages.length === 2);
    frames(stream, 3, true); // with the first the 40 ms that waited, and then one by one
    await eventually(() => messages.length === 5);
    t.same(messages, ["<800>", "<800>", "<480>", "<160>", "<160>"]);
    frames(stream, 1, false);
    stream.flush();
    stream.flush();
    frames(stream, 1, false);
    stream.finalize();
    await eventually(() => messages.some((message) => message.includes("Finalize")));
    t.same(messages.slice(5), ["<160>", "<160>", '{"type":"Finalize"}']);
    stream.close();
    await eventually(() => messages.at(-1) === '{"type":"CloseStream"}');
  },
);

void t.test(
  "on a line that has been silent for 2 s pieces are of 240 ms, and speech does not wait for one",
  async (t) => {
    const { providers, session } = await rig(t);
    const stream = providers.stt("deepgram").open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 100 + 12 + 7, false);
    frames(stream, 1, true);
    frames(stream, 6, false);
    await eventually(() => messages.length === 23);
    t.same(
      messages.slice(0, 20),
      Array.from({ length: 20 }, () => "<800>"),
    );
    t.same(messages.slice(20), ["<1920>", "<1280>", "<800>"]);
  },
);

void t.test(
  "on a crowded shard speech goes in pieces of 40 ms, and the end of it at once all the same",
  async (t) => {
    const { providers, session } = await rig(t, { crowdedStreams: 2 });
    const stt = providers.stt("deepgram");
    const stream = stt.open(request(), listen().events);
    const { messages } = await session(0);
    await quietTurns(); // open
    frames(stream, 2, true);
    await eventually(() => messages.length === 2);
    const other = stt.open(request({ callId: "call-2" }), listen().events);
    frames(stream, 5, true);
    stream.flush();
    await eventually(() => messages.length === 5);
    other.close();
    frames(stream, 2, true);
    await eventually(() => messages.length === 7);
    t.same(messages, ["<160>", "<160>", "<320>", "<320>", "<160>", "<160>", "<160>"]);
    const third = stt.open(request({ callId: "call-3" }), listen().events);
    frames(stream, 1, true);
    stream.nudge(); // it fades
    frames(stream, 2, true);
    await eventually(() => messages.length === 9);
    third.close();
    stream.nudge();
    t.same(messages.slice(7), ["<160>", "<320>"]);
  },
);

void t.test("a piece larger than a batch is sent whole, in order", async (t) => {
  const { providers, session } = await rig(t);
  const stream = providers.stt("deepgram").open(request(), listen().events);
  const { audio } = await session(0);
  const sent = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 251));
  stream.write(sent, true);
  stream.flush();
  await eventually(() => Buffer.concat(audio).length === sent.length);
  t.same(Buffer.concat(audio), sent);
});

void t.test("big-endian PCM arrives little-endian, and the caller's bytes stay as they were", async (t) => {
  const { providers, session } = await rig(t);
  const format = { encoding: "l16be", sampleRateHz: 8000 } as const;
  const stream = providers.stt("deepgram").open(request({ format }), listen().events);
  const { audio, url } = await session(0);
  t.equal(url.searchParams.get("encoding"), "linear16");
  const sent = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  stream.write(sent, true);
  stream.flush();
  await eventually(() => audio.length === 1);
  t.same([...audio[0]!], [0x34, 0x12, 0x78, 0x56]);
  t.same([...sent], [0x12, 0x34, 0x56, 0x78]);
});

void t.test("a quiet stream is kept alive", async (t) => {
  const { providers, session, clock } = await rig(t);
  const stream = providers.stt("deepgram").open(request(), listen().events);
  const { messages } = await session(0);
  await quietTurns();
  frames(stream, 5, false);
  await eventually(() => messages.length === 1);
  clock.advance(4_600);
  await eventually(() => messages.length === 2);
  t.equal(messages[1], '{"type":"KeepAlive"}');
});

void t.test("a server that stops reading ends the stream before its audio fills our memory", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  const stream = providers.stt("deepgram").open(request(), events);
  const { ws } = await session(0);
  await quietTurns();
  ws.pause();
  let writtenMs = 0;
  while (lines.length === 0 && writtenMs < 3_600_000) {
    frames(stream, 500, false);
    writtenMs += 10_000;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.same(lines, ["STT_OVERFLOW"]);
  ws.terminate();
});
