/** What Deepgram's messages become, and how long the last of them is waited for. */
import { once } from "node:events";
import t, { type Test } from "tap";
import { advanceUntil, eventually, quietTurns } from "../compliance-kit.js";
import { type Session, frames, listen, request, results, rig, turn } from "./deepgram-wire.fixture.js";
import type { SttStream } from "./provider.js";

/** How long after the vendor's last word, with the line's audio going on, a stream is given up. */
async function givenUpAfterMs(t: Test, hears: (session: Session, stream: SttStream) => Promise<void>) {
  const { providers, session, clock } = await rig(t);
  const { lines, events } = listen();
  const stream = providers.stt("deepgram").open(request(), events);
  const first = await session(0);
  await quietTurns();
  frames(stream, 12, true);
  await hears(first, stream);
  const saidAtMs = clock.nowMs();
  await advanceUntil(
    clock,
    () => {
      frames(stream, 25, false);
      return lines.at(-1) === "STT_TIMEOUT";
    },
    500,
  );
  return clock.nowMs() - saidAtMs;
}

void t.test("words that are shown and never final, and a final that is asked for, are owed", async (t) => {
  const tells = async ({ ws, messages }: Session, stream: SttStream, isFinal: boolean): Promise<void> => {
    ws.send(results("tell me", 0.1, 0.24, { is_final: isFinal }));
    await quietTurns();
    frames(stream, 12, true); // a quarter of a second: by itself it owes nothing
    await eventually(() => messages.length === 24);
  };
  const shown = await givenUpAfterMs(t, (session, stream) => tells(session, stream, false));
  t.ok(shown >= 4_000 && shown <= 5_500, `${shown} ms`);
  const asked = await givenUpAfterMs(t, async (session, stream) => {
    await tells(session, stream, true);
    stream.finalize();
  });
  t.ok(asked >= 4_000 && asked <= 5_500, `${asked} ms`);
  const nothing = await givenUpAfterMs(t, (session, stream) => tells(session, stream, true));
  t.ok(nothing >= 30_000, `${nothing} ms`);
});

void t.test("v1: UtteranceEnd tells of a pause that speech_final did not, once", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram").open(request(), events);
  const { ws } = await session(0);
  await quietTurns();
  const utteranceEnd = JSON.stringify({ type: "UtteranceEnd", channel: [0, 1], last_word_end: 1.25 });
  for (const message of [
    utteranceEnd, // nothing was said
    results("one", 0, 1, { is_final: true }),
    utteranceEnd,
    utteranceEnd,
    results("", 1, 1, { is_final: true }), // empty: nothing new
    utteranceEnd,
    results("two", 2, 1, { is_final: true, speech_final: true }),
    utteranceEnd, // known already
    JSON.stringify({ type: "SpeechStarted", channel: [0, 1], timestamp: 9.54 }),
    JSON.stringify({ type: "Metadata", request_id: "x" }),
    JSON.stringify({ type: "Warning", description: "x" }),
  ]) {
    ws.send(message);
  }
  await eventually(() => lines.at(-1) === "speech 9540");
  t.same(lines, [
    "final one 0-1000 false",
    "final  1250-1250 true",
    "final  1000-2000 false",
    "final two 2000-3000 true",
    "speech 9540",
  ]);
});

void t.test("Flux: a turn's events in order, updates only when something changed", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), events);
  const { ws } = await session(0);
  await quietTurns();
  for (const [event, text] of [
    ["Update", ""],
    ["StartOfTurn", "Book"],
    ["Update", "Book"],
    ["Update", "Book a"],
    ["EagerEndOfTurn", "Book a table."],
    ["TurnResumed", "Book a table."],
    ["Update", "Book a table for two."],
    ["EagerEndOfTurn", "Book a table for two."],
    ["EndOfTurn", "Book a table for two."],
    ["Update", ""],
    ["SomethingNew", "Next"],
  ] as const) {
    ws.send(turn(event, text, 0, 1));
  }
  ws.send(JSON.stringify({ type: "ConfigureSuccess", sequence_id: 9 }));
  await eventually(() => lines.at(-1) === "interim Next 0-1000");
  t.same(lines, [
    "speech 0",
    "interim Book 0-1000",
    "interim Book a 0-1000",
    "eager Book a table.",
    "resumed",
    "interim Book a table for two. 0-1000",
    "eager Book a table for two.",
    "final Book a table for two. 0-1000 true",
    "interim Next 0-1000",
  ]);
});

void t.test("closed from inside an event, the rest of the same message is not told", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  const closing = { ...events, onSpeechStarted: () => stream.close() };
  const stream = providers.stt("deepgram-flux").open(request({ model: "flux-general-en" }), closing);
  const { ws } = await session(0);
  const closed = once(ws, "close");
  ws.send(turn("StartOfTurn", "Book", 0, 1));
  await closed;
  t.same(lines, []);
});

const malformed = {
  "not JSON": "{",
  "JSON, but no object": "7",
  "results without a transcript": JSON.stringify({ type: "Results", start: 0, duration: 1 }),
  "results without times": JSON.stringify({
    type: "Results",
    channel: { alternatives: [{ transcript: "x" }] },
  }),
};
for (const [what, message] of Object.entries(malformed)) {
  void t.test(`${what} ends the stream with STT_PROTOCOL_ERROR`, async (t) => {
    const { providers, session } = await rig(t);
    const { lines, events } = listen();
    providers.stt("deepgram").open(request(), events);
    const { ws } = await session(0);
    const closed = once(ws, "close");
    ws.send(message);
    await closed;
    t.same(lines, ["STT_PROTOCOL_ERROR"]);
  });
}

void t.test("audio that Deepgram cannot decode is our mistake, not a broken stream", async (t) => {
  const { providers, session } = await rig(t);
  const { lines, events } = listen();
  providers.stt("deepgram").open(request(), events);
  (await session(0)).ws.close(1008, "DATA-0000");
  await eventually(() => lines.length === 1);
  t.same(lines, ["STT_REJECTED"]);
});
