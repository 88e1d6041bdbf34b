import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { MULAW_8K } from "#runtime/media";
import type { LlmEvents, LlmProvider, TtsEvents, TtsProvider } from "#actors/providers";
import type { ToolOutcome } from "#actors/tools";
import { FILLER_AFTER_MS, STALL_LEFT_MS } from "./fillers.js";
import { Generation, MAX_PARALLEL_TOOLS } from "./generation.js";
import { Ledger } from "./ledger.js";
import type { SegmentSink } from "./segment.js";
import type { CachedSpeech } from "./voice-cache.js";

const FILLER = { text: "One moment.", audio: new Uint8Array(800), words: [] };

const GOODBYE = { text: "Goodbye now.", audio: new Uint8Array(800), words: [] };

function setUp(goodbye: CachedSpeech | null = null) {
  const clock = new VirtualClock();
  const llm: LlmEvents[] = [];
  const tts: TtsEvents[] = [];
  const heard: string[] = [];
  const happened: string[] = [];
  const running: ((outcome: ToolOutcome) => void)[] = [];
  let cancelled = 0;
  const cancel = () => void (cancelled += 1);
  const model: LlmProvider = {
    name: "llm",
    generate: (_request, events) => (llm.push(events), { cancel }),
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const voice: TtsProvider = {
    name: "tts",
    speak: (_request, events) => (tts.push(events), { push() {}, finish() {}, cancel }),
    warm: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  const request = { callId: "c", model: "m", messages: [], tools: [], temperature: 0, maxOutputTokens: 9 };
  const generation = new Generation(
    "when?",
    request,
    new Ledger(),
    {
      clock,
      llm: model,
      tts: voice,
      ttsRequest: { callId: "c", model: "m", voice: "v", language: "en", format: MULAW_8K },
      filler: () => FILLER,
      goodbye: () => goodbye,
      runTool: () => new Promise((resolve) => running.push(resolve)),
      onSwitched: () => {},
      guard: (body) => body(),
    },
    {
      onReady: () => void happened.push("ready"),
      onToolsStart: () => void happened.push("tools"),
      onToolRound: (answers) => void happened.push(`${answers.length} answers`),
      onDone: (endsCall, shortfall) =>
        void happened.push(`done ${endsCall}${shortfall === null ? "" : ` ${shortfall.error.code}`}`),
      onFailed: (error) => void happened.push(`failed ${error.code}`),
    },
  );
  const sink: SegmentSink & { leftMs: number } = {
    text: (piece) => void heard.push(piece.trim()),
    audio: () => {},
    words: () => {},
    segmentEnd: () => void heard.push("|"),
    leftMs: 0,
  };
  const tool = (id: string) => ({ id, name: "check_opening_hours", argumentsJson: "{}" });
  return {
    clock,
    llm,
    tts,
    heard,
    happened,
    running,
    generation,
    sink,
    tool,
    cancelledCount: () => cancelled,
  };
}

void t.test(
  "a tool that keeps the caller waiting is bridged by one filler, and the answer follows it",
  async (t) => {
    const { clock, llm, tts, heard, happened, running, generation, sink, tool } = setUp();
    generation.commit();
    generation.attach(sink);
    llm[0]!.onToolCall(tool("1"));
    llm[0]!.onDone("toolCalls", null);
    clock.advance(FILLER_AFTER_MS - 1);
    t.same(heard, []);
    clock.advance(1);
    t.same(heard, ["One moment.", "|"]);
    clock.advance(10 * FILLER_AFTER_MS);
    t.same(heard, ["One moment.", "|"], "one filler, not more");
    running[0]!({ ok: true, text: "open" });
    await new Promise((resolve) => setImmediate(resolve));
    llm[1]!.onText("We are open. ");
    llm[1]!.onDone("stop", null);
    tts[0]!.onAudio(new Uint8Array(800));
    tts[0]!.onDone();
    t.same(heard, ["One moment.", "|", "We are open.", "|"]);
    t.same(happened, ["tools", "ready", "1 answers", "done false"]);
  },
);

void t.test("no tool runs and no audio leaves before the turn is committed", async (t) => {
  const { llm, tts, heard, happened, running, generation, sink, tool } = setUp();
  llm[0]!.onText("Let me look that up for you. ");
  llm[0]!.onToolCall(tool("1"));
  llm[0]!.onDone("toolCalls", null);
  tts[0]!.onAudio(new Uint8Array(800));
  t.same([happened, running.length, heard], [["ready"], 0, []]);
  generation.commit();
  t.equal(running.length, 1);
  generation.attach(sink);
  t.equal(heard.join(" "), "Let me look that up for you.");
});

void t.test("of too many parallel tools the ones past the bound are refused, in words", async (t) => {
  const { llm, happened, running, generation, tool } = setUp();
  generation.commit();
  for (let index = 0; index < MAX_PARALLEL_TOOLS + 3; index += 1) llm[0]!.onToolCall(tool(String(index)));
  llm[0]!.onDone("toolCalls", null);
  t.equal(running.length, MAX_PARALLEL_TOOLS);
  for (const settle of running) settle({ ok: true, text: "ok" });
  await new Promise((resolve) => setImmediate(resolve));
  t.ok(happened.includes(`${MAX_PARALLEL_TOOLS + 3} answers`), "every call has an answer");
  generation.discard();
});

void t.test("a reply that is thrown away leaves no trace, whatever still arrives", async (t) => {
  const { clock, llm, tts, heard, happened, generation, sink, cancelledCount } = setUp();
  llm[0]!.onText("This will never be heard. ");
  generation.discard();
  t.equal(cancelledCount(), 2, "model and voice were told");
  generation.attach(sink);
  llm[0]!.onText("Nor this one here. ");
  tts[0]!.onAudio(new Uint8Array(800));
  tts[0]!.onDone();
  clock.advance(10_000);
  t.same([heard, happened], [[], []]);
});

void t.test("a model that says nothing at all is a failure, not silence", async (t) => {
  const { llm, happened, generation, sink } = setUp();
  generation.commit();
  generation.attach(sink);
  llm[0]!.onDone("stop", null);
  t.same(happened, ["failed LLM_PROTOCOL_ERROR"]);
});

void t.test(
  "a model that stalls in mid-answer: a filler when all there was is heard, then the rest",
  async (t) => {
    const { clock, llm, tts, heard, happened, generation, sink } = setUp();
    generation.commit();
    generation.attach(sink);
    llm[0]!.onText("We are open until five, and on Satur");
    tts[0]!.onAudio(new Uint8Array(800));
    const begun = heard.slice();
    sink.leftMs = 3_000; // the voice is ahead
    clock.advance(FILLER_AFTER_MS + 1_000);
    sink.leftMs = 1_500;
    clock.advance(1_500);
    t.same(heard, begun, "the caller still has something to hear");
    sink.leftMs = STALL_LEFT_MS;
    clock.advance(1_500);
    tts[0]!.onDone(); // it was told that no more comes
    t.same(heard.slice(begun.length), ["|", "One moment.", "|"]);
    llm[0]!.onError(new LumentraError("LLM_TIMEOUT", "scripted"));
    llm[1]!.onText("We are open until five, and on Saturdays until noon.");
    llm[1]!.onDone("stop", null);
    tts[1]!.onAudio(new Uint8Array(800));
    tts[1]!.onDone();
    const said = "We are open One moment. until five, and on Saturdays until noon.";
    t.equal(heard.filter((piece) => piece !== "|").join(" "), said);
    t.equal(generation.intended.replace(/\s+/g, " "), said);
    clock.advance(10 * FILLER_AFTER_MS);
    t.equal(clock.timerCount, 0);
    t.same(happened, ["ready", "done false"]);
  },
);

void t.test("a model that is merely slow, and one that is done, get no filler", async (t) => {
  const { clock, llm, tts, heard, generation, sink } = setUp();
  generation.commit();
  generation.attach(sink);
  for (const piece of ["We are open. ", "Until five. ", "And on Saturdays. "]) {
    llm[0]!.onText(piece);
    tts[0]!.onAudio(new Uint8Array(800));
    clock.advance(FILLER_AFTER_MS - 100);
  }
  llm[0]!.onDone("stop", null);
  clock.advance(10 * FILLER_AFTER_MS);
  t.notOk(heard.includes("One moment."));
});

/** Tools answer through promises. */
const toolsSettle = () => new Promise((resolve) => setImmediate(resolve));

void t.test("a model that ends the call without a word: a goodbye, also after a filler", async (t) => {
  for (const isSlow of [false, true]) {
    const { clock, llm, heard, happened, running, generation, sink, tool } = setUp(GOODBYE);
    generation.commit();
    generation.attach(sink);
    if (isSlow) clock.advance(FILLER_AFTER_MS);
    llm[0]!.onToolCall(tool("1"));
    llm[0]!.onDone("toolCalls", null);
    running[0]!({ ok: true, text: "", endCall: true });
    await toolsSettle();
    t.equal(heard.at(-2), "Goodbye now.");
    t.equal(heard.includes("One moment."), isSlow);
    t.equal(happened.at(-1), "done true");
  }
});

void t.test("a filler that nobody has heard stays in the text when the model is asked again", async (t) => {
  const { clock, llm, tts, heard, generation, sink } = setUp();
  generation.commit();
  clock.advance(FILLER_AFTER_MS); // held: the caller makes a sound
  llm[0]!.onText("We are open until ");
  const detail = { retryAfterMs: 0 };
  llm[0]!.onError(new LumentraError("LLM_RATE_LIMITED", "scripted", { detail }));
  clock.advance(1);
  llm[1]!.onText("We are open. ");
  llm[1]!.onDone("stop", null);
  generation.attach(sink);
  tts[1]!.onAudio(new Uint8Array(800));
  tts[1]!.onDone();
  t.equal(heard.filter((piece) => piece !== "|").join(" "), "One moment. We are open.");
  t.equal(generation.intended, "One moment. We are open.");
});

void t.test("an answer given along with a tool call is one: nothing need follow it", async (t) => {
  const { llm, tts, heard, happened, running, generation, sink, tool } = setUp();
  generation.commit();
  generation.attach(sink);
  llm[0]!.onText("I have noted that for you. ");
  llm[0]!.onToolCall(tool("1"));
  llm[0]!.onDone("toolCalls", null);
  tts[0]!.onAudio(new Uint8Array(800));
  tts[0]!.onDone();
  running[0]!({ ok: true, text: "noted" });
  await toolsSettle();
  llm[1]!.onDone("stop", null);
  t.equal(heard.filter((piece) => piece !== "|").join(" "), "I have noted that for you.");
  t.equal(happened.at(-1), "done false");
});

void t.test("a model that fails after its tools: what is being heard is heard to its end", async (t) => {
  for (const isFiller of [false, true]) {
    const { clock, llm, tts, happened, running, generation, sink, tool } = setUp();
    generation.commit();
    generation.attach(sink);
    if (isFiller) clock.advance(FILLER_AFTER_MS);
    else llm[0]!.onText("Let me look that up. ");
    llm[0]!.onToolCall(tool("1"));
    llm[0]!.onDone("toolCalls", null);
    tts[0]?.onAudio(new Uint8Array(800));
    running[0]!({ ok: true, text: "open" });
    await toolsSettle();
    llm[1]!.onError(new LumentraError("LLM_CONNECT_FAILED", "scripted"));
    tts[0]?.onDone();
    t.equal(happened.at(-1), "done false LLM_CONNECT_FAILED");
  }
});
