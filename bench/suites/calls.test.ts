import t from "tap";
import type { LlmRequestEntry, LogEntry, SttUtteranceEntry, TtsContextEntry } from "#bench/emulators";
import { type BenchTurn, heardRight } from "./calls-callers.js";
import { DelayJoiner } from "./calls-delays.js";
import { Distribution } from "./calls-distribution.js";
import { parseMetrics, quantileBound } from "./calls-metrics.js";
import { CALLERS_MAX, codeWords, sentenceFor } from "./calls-words.js";
import { suites } from "./index.js";

const SAID = sentenceFor("alfa bravo alfa alfa");

const stt: SttUtteranceEntry = {
  kind: "stt",
  seq: 1,
  callId: null,
  requestId: "r",
  flavour: "v1",
  firstWordReceivedAtMs: 500,
  speechEndReceivedAtMs: 1_004,
  speechEndAudioMs: 900,
  interimCount: 3,
  interim: { text: SAID, plannedDelayMs: 100, sentAtMs: 1_105, lateMs: 1 },
  eager: null,
  final: { text: "Please say alfa bravo alfa alfa.", plannedDelayMs: 150, sentAtMs: 1_155, lateMs: 1 },
};
const llm: LlmRequestEntry = {
  kind: "llm",
  provider: "groq",
  seq: 2,
  callId: "c",
  requestId: "r",
  receivedAtMs: 1_107,
  prompt: SAID,
  status: 200,
  plannedFirstTokenMs: 200,
  firstTokenSentAtMs: 1_309,
  doneAtMs: 1_400,
  reply: "alfa bravo alfa alfa",
  toolCalls: [],
  aborted: false,
};
const tts: TtsContextEntry = {
  kind: "tts",
  seq: 3,
  callId: "c",
  contextId: "c/1",
  firstTextAtMs: 1_312,
  plannedMs: 40,
  firstAudioSentAtMs: 1_353,
  lastAudioSentAtMs: 1_380,
  doneAtMs: 1_390,
  cancelledAtMs: null,
  text: "alfa bravo alfa alfa",
  audioMs: 1_000,
};
const turn = {
  said: SAID,
  expected: "alfa bravo alfa alfa",
  speechEndAtMs: 1_000,
  phoneLateMs: 1,
  replyAtMs: 1_355,
  committedAtMs: 1_200,
};

void t.test("the way of a turn is put together from what each part logged", (t) => {
  const aborted: LlmRequestEntry = { ...llm, seq: 9, receivedAtMs: 1_160, aborted: true };
  const joiner = new DelayJoiner([stt, llm, aborted, tts]);
  t.same(joiner.delaysOf(turn), {
    voiceToVoiceMs: 355,
    // The phone was late by 1, the recogniser by 1, the model by 2, the voice by 1.
    toolsLateMs: 5,
    toSttMs: 3,
    sttToLlmMs: 2,
    llmToTtsMs: 3,
    ttsToPhoneMs: 2,
    addedMs: 355 - 100 - 200 - 40 - 5,
  });
  t.end();
});

void t.test("a model asked after the final is measured against the final", (t) => {
  const late: LlmRequestEntry = { ...llm, receivedAtMs: 1_160, firstTokenSentAtMs: 1_360 };
  const delays = new DelayJoiner([stt, late, tts]).delaysOf({ ...turn, replyAtMs: 1_405 });
  t.equal(delays.sttToLlmMs, 5);
  t.equal(delays.addedMs, 405 - 150 - 200 - 40 - 3);
  t.end();
});

void t.test("audio that had to wait for the turn's end is counted from there", (t) => {
  const delays = new DelayJoiner([stt, llm, tts]).delaysOf({ ...turn, committedAtMs: 1_354 });
  t.equal(delays.ttsToPhoneMs, 1);
  t.end();
});

void t.test("a turn whose parts are not all in the log has no more than is known", (t) => {
  const nothing: LogEntry[] = [];
  t.same(new DelayJoiner(nothing).delaysOf(turn), {
    voiceToVoiceMs: 355,
    toolsLateMs: null,
    toSttMs: null,
    sttToLlmMs: null,
    llmToTtsMs: null,
    ttsToPhoneMs: null,
    addedMs: null,
  });
  t.equal(new DelayJoiner([stt, { ...llm, receivedAtMs: 900 }, tts]).delaysOf(turn).addedMs, null);
  t.end();
});

void t.test("no two callers have the same words, nor a caller in two turns", (t) => {
  const seen = new Set<string>();
  for (let caller = 0; caller < CALLERS_MAX; caller++) seen.add(codeWords(caller, 0));
  t.equal(seen.size, CALLERS_MAX);
  const turns = new Set<string>();
  for (let turn = 0; turn < 600; turn++) turns.add(codeWords(5, turn));
  t.equal(turns.size, 600);
  t.equal(sentenceFor("kilo lima"), "Please say kilo lima");
  t.end();
});

void t.test("only the caller's own words, all of them and no others, count as right", (t) => {
  const heard = (text: string): BenchTurn => ({
    callSid: "CA1",
    words: "alfa kilo",
    said: { text: "", startedAtMs: 0, endedAtMs: 0, intendedEndAtMs: 0 },
    heard: text,
    replyAtMs: 0,
  });
  t.ok(heardRight(heard("alfa kilo")));
  t.ok(heardRight(heard("Alfa kilo.")));
  t.notOk(heardRight(heard("alfa")));
  t.notOk(heardRight(heard("alfa kilo alfa")));
  t.notOk(heardRight(heard("alfa lima")));
  t.end();
});

void t.test("distributions are merged before percentiles are taken", (t) => {
  const quick = new Distribution("x");
  const slow = new Distribution("y");
  for (let i = 0; i < 98; i++) quick.record(1);
  slow.record(100);
  slow.record(-0.001);
  quick.add(slow);
  t.equal(quick.count, 100);
  t.equal(quick.percentileMs(50), 1);
  t.ok(Math.abs(quick.percentileMs(99.5) - 100) < 0.1);
  t.match(quick.row(2), { what: "x", p50: 1, count: 100 });
  t.same(new Distribution("none").row(2), { what: "none", count: 0 });
  t.end();
});

void t.test(
  "counters are summed over their labels, and quantiles are of what came between two scrapes",
  (t) => {
    const page = (small: number, large: number): string =>
      [
        "# HELP lumentra_x Something.",
        'lumentra_drops_total{direction="in"} 3',
        'lumentra_drops_total{direction="out"} 4.5',
        `lumentra_x_bucket{le="1",thread="main"} ${small}`,
        `lumentra_x_bucket{le="5",thread="main"} ${small + large}`,
        `lumentra_x_bucket{le="+Inf",thread="main"} ${small + large}`,
        `lumentra_x_count{thread="main"} ${small + large}`,
      ].join("\n");
    const before = parseMetrics(page(1_000, 0));
    const after = parseMetrics(page(1_090, 10));
    t.equal(after.total("lumentra_drops_total"), 7.5);
    t.equal(after.total("lumentra_nothing"), 0);
    const bound = (quantile: number): number | null =>
      quantileBound(before.buckets("lumentra_x"), after.buckets("lumentra_x"), quantile);
    t.equal(bound(0.5), 1);
    t.equal(bound(0.9), 1);
    t.equal(bound(0.95), 5);
    t.equal(quantileBound(before.buckets("lumentra_x"), before.buckets("lumentra_x"), 0.5), null);
    t.end();
  },
);

void t.test(
  "two calls against a real node: every word heard, every stage measured",
  { timeout: 90_000 },
  async (t) => {
    const { rows, failures, notes } = await suites.calls({
      calls: 2,
      seconds: 1,
      json: true,
      mix: "conversation",
    });
    t.same(failures ?? [], [], notes.join("; "));
    const row = (start: string) => rows.find((candidate) => String(candidate.what).startsWith(start));
    const [right, all] = String(row("turns heard")?.value).split(" of ");
    t.ok(Number(all) >= 2 && right === all, `${right} of ${all}`);
    for (const what of [
      "added: end of speech",
      "added: STT",
      "added: LLM",
      "added: TTS",
      "added: voice",
      "voice to voice",
    ]) {
      const count = Number(row(what)?.count);
      t.ok(count > 0 && count <= Number(all), `${what} measured for ${count} of ${all} turns`);
    }
    t.ok(Number(row("node CPU")?.value) > 0);
    t.equal(row("records dropped")?.value, 0);
  },
);
