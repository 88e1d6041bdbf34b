import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import type { LlmEvents, LlmProvider, TtsEvents, TtsProvider } from "#actors/providers";
import type { ToolOutcome } from "#actors/tools";
import { FILLER_AFTER_MS, Generation, MAX_PARALLEL_TOOLS } from "./generation.js";
import { Ledger } from "./ledger.js";
import type { SegmentSink } from "./segment.js";

const FILLER = { text: "One moment.", audio: new Uint8Array(800), words: [] };

function setUp() {
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
      goodbye: () => null,
      runTool: () => new Promise((resolve) => running.push(resolve)),
      onSwitched: () => {},
      guard: (body) => body(),
    },
    {
      onReady: () => void happened.push("ready"),
      onToolsStart: () => void happened.push("tools"),
      onToolRound: (answers) => void happened.push(`${answers.length} answers`),
      onDone: (endsCall) => void happened.push(`done ${endsCall}`),
      onFailed: (error) => void happened.push(`failed ${error.code}`),
    },
  );
  const sink: SegmentSink = {
    text: (piece) => void heard.push(piece.trim()),
    audio: () => {},
    words: () => {},
    segmentEnd: () => void heard.push("|"),
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
