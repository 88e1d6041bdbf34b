/** Sockets to Deepgram that wait for a call: what they are sent meanwhile, and which call gets one. */
import { once } from "node:events";
import t from "tap";
import { advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { frames, listen, request, results, rig, turn } from "./deepgram-wire.fixture.js";

/** Of virtual time, in which the server has turns enough to answer a ping. */
const PONG_STEP_MS = 1_000;

void t.test(
  "a waiting socket has a moment of silence and KeepAlives, and its call's audio comes after",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1 });
    const { callId: _callId, ...kind } = request();
    await providers.stt("deepgram").warm(kind);
    const { messages, url } = await session(0);
    t.notOk(url.searchParams.has("extra"), "no call is known yet");
    await eventually(() => messages.length === 1);
    const openedAtMs = clock.nowMs();
    await advanceUntil(clock, () => messages.length === 6, PONG_STEP_MS);
    t.ok(clock.nowMs() - openedAtMs >= 5 * 4_000 - 1_000);
    t.same(messages, ["<640>", ...Array.from({ length: 5 }, () => '{"type":"KeepAlive"}')]);
    const { lines, events } = listen();
    const stream = providers.stt("deepgram").open(request(), events);
    frames(stream, 2, true);
    await eventually(() => messages.length === 8);
    sessions[0]!.ws.send(results("hello", 0.08 + 0.5, 1, { is_final: false }));
    await eventually(() => lines.length === 1);
    t.same(lines, ["interim hello 500-1500"], "the silence is not the call's time");
  },
);

void t.test(
  "a waiting Flux socket is sent silence again and again, all of it taken out of the times",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1 });
    const { callId: _callId, ...kind } = request({ model: "flux-general-en" });
    await providers.stt("deepgram-flux").warm(kind);
    const { messages } = await session(0);
    await advanceUntil(clock, () => messages.length === 5, PONG_STEP_MS);
    t.same(new Set(messages), new Set(["<640>"]));
    const { lines, events } = listen();
    providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), events);
    sessions[0]!.ws.send(turn("Update", "hi", 5 * 0.08, 5 * 0.08 + 1));
    await eventually(() => lines.length === 1);
    t.same(lines, ["interim hi 0-1000"]);
  },
);

void t.test(
  "an old waiting socket is renewed; warming closes none for another kind, a call the longest unused",
  async (t) => {
    const { providers, session, sessions, clock } = await rig(t, { warmPerKind: 1, warmMax: 2 });
    const stt = providers.stt("deepgram");
    const { callId: _callId, ...kind } = request();
    await stt.warm(kind);
    const first = await session(0);
    // In steps in which the server can answer pings: it is age that ends the socket.
    await advanceUntil(clock, () => sessions.length === 2, PONG_STEP_MS);
    t.ok(clock.nowMs() - 1_000_000 >= 120_000);
    await eventually(() => first.ws.readyState === first.ws.CLOSED);
    t.equal(first.messages.at(-1), '{"type":"CloseStream"}');
    const languages = () => sessions.map(({ url }) => url.searchParams.get("language"));
    await stt.warm({ ...kind, language: "es" });
    for (const language of ["fr", "de", "it"]) await stt.warm({ ...kind, language });
    await quietTurns();
    t.same(languages(), ["en", "en", "es"], "there was no room for more");
    const oldest = once(sessions[1]!.ws, "close");
    stt.open(request({ language: "fr" }), listen().events);
    await oldest;
    await eventually(() => sessions.length === 5);
    t.same(languages(), ["en", "en", "es", "fr", "fr"], "the call's own and one for the next");
  },
);

void t.test("a call with other keyterms gets a socket of its own, not a warm one", async (t) => {
  const { providers, session } = await rig(t, { warmPerKind: 1 });
  const stt = providers.stt("deepgram");
  const { callId: _callId, ...kind } = request();
  await stt.warm(kind);
  await session(0);
  stt.open(request({ keyterms: ["Lucia"] }), listen().events);
  t.same((await session(1)).url.searchParams.getAll("keyterm"), ["Lucia"]);
});
