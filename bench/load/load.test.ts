import { readFile } from "node:fs/promises";
import t from "tap";
import type { LlmRequestEntry, LogEntry, SttUtteranceEntry, TtsContextEntry } from "#bench/emulators";
import { UNPRESSED } from "#bench/processes";
import { seededRandom } from "#runtime/actor";
import { runLoadCommand } from "../load-command.js";
import { heardRight } from "./callers.js";
import { compareRuns, toldOfRuns } from "./compare.js";
import { DelayJoiner } from "./delays.js";
import { Distribution } from "./distribution.js";
import type { Figure } from "./figures.js";
import { parseMetrics, quantileBound } from "./metrics.js";
import { BUILT_IN_MIXES, callersOf, loadMix, parseMix } from "./mix.js";
import { fitted } from "./progress.js";
import { renderReport } from "./report.js";
import type { LoadResult } from "./results.js";
import { arrivals } from "./schedule.js";
import { CALLERS_MAX, codeWords, sentenceFor } from "./words.js";

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
  t.ok(heardRight("alfa kilo", "alfa kilo"));
  t.ok(heardRight("Alfa kilo.", "alfa kilo"));
  t.notOk(heardRight("alfa", "alfa kilo"));
  t.notOk(heardRight("alfa kilo alfa", "alfa kilo"));
  t.notOk(heardRight("alfa lima", "alfa kilo"));
  t.end();
});

void t.test("distributions are merged before percentiles are taken", (t) => {
  const quick = new Distribution("x");
  const slow = new Distribution("y");
  for (let i = 0; i < 98; i++) quick.record(1);
  slow.record(100);
  slow.record(-0.001);
  quick.addEncoded(slow.encode()); // as it comes from another process
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

void t.test("arrivals keep to their curve, and the same seed is the same schedule", (t) => {
  t.same(arrivals("constant", 4, 1_000, 1, seededRandom(1)), [0, 250, 500, 750]);
  t.same(arrivals("constant", 4, 1_000, 2, seededRandom(1)), [0, 0, 500, 500]);
  const ramp = arrivals("ramp", 100, 1_000, 1, seededRandom(1));
  t.equal(ramp.filter((at) => at < 500).length, 25, "a quarter comes in the first half");
  const poisson = arrivals("poisson", 1_000, 1_000, 1, seededRandom(7));
  t.same(poisson, arrivals("poisson", 1_000, 1_000, 1, seededRandom(7)));
  t.ok(poisson.every((at, i) => at >= 0 && at < 1_000 && (i === 0 || at >= poisson[i - 1]!)));
  const gaps = poisson.slice(1).map((at, i) => at - poisson[i]!);
  // Independent arrivals: the gaps' deviation is their mean, where even ones have none.
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  t.ok(deviation > 0.8 * mean && deviation < 1.2 * mean, `gaps ${mean} ± ${deviation}`);
  t.end();
});

void t.test("lines are shared out by weight, and a wrong mix says what is wrong in it", async (t) => {
  const mix = await loadMix("mixed");
  t.ok(mix.front === "calls");
  if (mix.front !== "calls") return;
  const kinds = callersOf(mix, 100).map(({ kind }) => kind);
  const count = (kind: string): number => kinds.filter((one) => one === kind).length;
  t.same([count("conversation"), count("idle"), count("bargeIn"), count("short")], [60, 20, 10, 10]);
  t.same(new Set(kinds.slice(0, 10)).size, 4, "any ten of them are a mix");
  for (const name of BUILT_IN_MIXES) t.ok(await loadMix(name), name);
  t.throws(() => parseMix({ callers: [{ kind: "shout" }] }), /callers\[0\]\.kind/);
  t.throws(() => parseMix({ front: "webhooks", ratePerSecond: 0.5 }), /ratePerSecond/);
  t.throws(() => parseMix({ callers: [{ kind: "idle", turns: [4, 2] }] }), /callers\[0\]\.turns/);
  t.throws(() => parseMix({ callers: [{ kind: "idle", thinkMs: [4, 2] }] }), /least first[^]*\.thinkMs/);
  await t.rejects(loadMix("/nowhere.toml"), { code: "BENCH_MIX_INVALID" });
});

function runWith(figures: Partial<Figure>[]): LoadResult {
  const common = {
    name: "x",
    unit: "ms",
    value: 10,
    slices: [9.8, 10, 10.2, 9.9, 10.1],
    better: "lower" as const,
  };
  return {
    format: 1,
    mix: "idle",
    startedAt: "2026-01-02T03:04:05.000Z",
    machine: { cpu: "abacus", cores: 2, node: "v20", commit: "c0ffee" },
    figures: figures.map((figure) => ({ ...common, ...figure })),
  } as unknown as LoadResult;
}

void t.test("a figure has moved when it differs by more than both runs varied, and by more than 5 %", (t) => {
  const verdict = (old: Partial<Figure>, now: Partial<Figure>): unknown =>
    compareRuns(runWith([old]), runWith([now]))[0]?.verdict;
  t.equal(verdict({}, {}), "same");
  t.equal(verdict({}, { value: 10.4 }), "same", "4 %");
  t.equal(verdict({}, { value: 11.5, slices: [11.4, 11.5, 11.6] }), "worse");
  t.equal(verdict({}, { value: 8, slices: [8, 8.1, 7.9] }), "better");
  t.equal(verdict({ better: "higher" }, { better: "higher", value: 8, slices: [8, 8, 8] }), "worse");
  t.equal(verdict({ slices: [6, 10, 14] }, { value: 14, slices: [10, 14, 18] }), "same", "lost in the noise");
  t.equal(verdict({ slices: [10] }, { value: 20, slices: [20] }), "unknown");
  t.equal(verdict({ unit: "", slices: [] }, { unit: "", value: 11, slices: [] }), "worse", "a count");
  t.equal(verdict({ slices: [] }, { slices: [] }), "same", "no difference needs no observations");
  const beyond = null as unknown as number; // JSON's word for infinity
  t.equal(
    verdict({ value: beyond }, { value: 200, slices: [200, 200, 200] }),
    "better",
    "beyond the last bucket",
  );
  t.equal(verdict({ value: beyond }, { value: Number.POSITIVE_INFINITY }), "same");
  t.end();
});

/** A run in which half of all calls fell short was "too little to tell", as every p99 of the tools' own was. */
void t.test("shares move by what so many observations can tell", (t) => {
  const share = { unit: "%", slices: [], better: "higher" } as const;
  const verdict = (old: number, now: number, count: number): unknown =>
    compareRuns(runWith([{ ...share, value: old, count }]), runWith([{ ...share, value: now, count }]))[0]
      ?.verdict;
  t.equal(verdict(100, 47, 500), "worse");
  t.equal(verdict(90, 100, 500), "better");
  t.equal(verdict(100, 99.5, 4_000), "same", "less than a call in a hundred");
  t.equal(verdict(100, 75, 4), "same", "one of four");
  t.end();
});

void t.test(
  "a comparison says which run it is with, what moved, and of what there was too little",
  async (t) => {
    const old = runWith([{}, { name: "y" }, { name: "z", slices: [] }]);
    const now = {
      ...runWith([{}, { name: "y", value: 20 }, { name: "z", value: 11, slices: [] }]),
      mix: "calm",
    };
    const told = toldOfRuns(old, now);
    t.match(told, {
      earlier: "commit c0ffee, Node v20, 2026-01-02 03:04 UTC",
      differs: [/^Not the same load.*mix idle and calm/],
      moved: [{ name: "y", verdict: "worse" }],
      rest: [/^1 figures did not move/, /^Too few observations.*: z\.$/],
    });
    const page = await renderReport(
      { ...now, calls: 1, windows: [], notes: [], target: "a node", failures: [], failureCount: 0 },
      told,
    );
    for (const words of ["commit c0ffee", "mix idle and calm", "<td>worse</td>", "longer runs have more"])
      t.match(page, words);
    t.match(toldOfRuns(old, old), { differs: [], moved: [] });
  },
);

/** It was some 190 characters, of which a terminal kept all but the last line for every second of the run. */
void t.test("progress is one line in a terminal of any width", (t) => {
  const parts = ["6/9 s steady", "8 up", "voice to voice p99 383 ms"];
  t.equal(fitted(parts, 100), "6/9 s steady · 8 up · voice to voice p99 383 ms");
  t.equal(fitted(parts, 46), "6/9 s steady · 8 up");
  t.equal(fitted(parts, 5), "6/9 s");
  t.end();
});

void t.test(
  "a small load of all kinds of callers: every word heard, every figure there, a report that stands alone",
  { timeout: 240_000 },
  async (t) => {
    const out = t.testdir({
      "mix.toml": ["conversation", "bargeIn", "short"]
        .map((kind) => `[[callers]]\nkind = "${kind}"\nthinkMs = [100, 300]\neverySeconds = 5\n`)
        .join("turns = [1, 1]\n\n"),
    });
    const write = (text: string): void => void lines.push(text);
    const lines: string[] = [];
    const options = { calls: 3, ramp: 0.3, seconds: 6, processes: 2, mix: `${out}/mix.toml`, out } as const;
    const code = await runLoadCommand(
      {
        ...options,
        set: { LUMENTRA_EDGE_NICE: "0", ...UNPRESSED },
        json: false,
        to: "+12025550101",
        carrier: "twilio",
      },
      { write, colors: false, columns: 100 },
    );
    const result = JSON.parse(await readFile(`${out}/load-mix-3.json`, "utf8")) as LoadResult;
    t.equal(code, 0, result.failures.join("; "));
    t.match(result, { kind: "load", command: /^npm run bench --/, machine: { commit: String } });
    const value = (name: string): number =>
      result.figures.find((figure) => figure.name === name)?.value ?? -1;
    t.ok(value("turns") >= 3);
    t.equal(value("turns that were wrong"), 0);
    t.equal(value("records dropped by rings"), 0);
    t.ok(value("interruption to clear p50") > 0, "the interrupter was heard");
    // It keeps to its schedule on any machine; whether those of one turn are over in time to come again is the machine's.
    t.ok(value("calls that ended") >= 4, "the short call came again");
    t.ok(value("node memory, whole process") > 50, "MiB");
    for (const name of ["added p50", "node CPU per call and second", "generator CPU per call and second"]) {
      t.ok(value(name) > 0, name);
    }
    t.ok(value("voice to voice p50") > value("added p50"));
    t.ok(result.windows.some((window) => window.up === 3 && window.edgeCores !== null));
    const page = await readFile(`${out}/load-mix-3.html`, "utf8");
    t.notMatch(page, /(src|href)=|url\(http|@import/, "nothing is fetched");
    t.match(page, "new uPlot");
    t.match(page, /added by the node, p99<\/span><i[^>]*>goal 20 ms/, "how far from it is seen");
    t.match(page, /"goals":\{"voice to voice p50":350,/);
    t.match(lines.join(""), "Report: ");
    t.ok(result.notes.includes("LUMENTRA_EDGE_NICE=0"), "what was set is told");
  },
);

void t.test(
  "webhooks by the hundred are signed, each is answered as it should be, and the run leaves what a load of calls does",
  { timeout: 240_000 },
  async (t) => {
    const out = t.testdir({ "door.toml": 'front = "webhooks"\nratePerSecond = 50\nconnections = 4\n' });
    const lines: string[] = [];
    const code = await runLoadCommand(
      // biome-ignore format: what a command line says, on one
      { calls: 1, seconds: 2, processes: 1, mix: `${out}/door.toml`, out, set: UNPRESSED, json: false, to: "+12025550101", carrier: "twilio" },
      { write: (text) => void lines.push(text), colors: false, columns: 80 },
    );
    t.equal(code, 0, lines.join(""));
    t.match(lines.join(""), /answers · p99 \d+ ms/, "it told how far it was");
    t.notMatch(lines.join(""), /over fifths/, "a terminal of eighty columns has room for the figures alone");
    const result = JSON.parse(await readFile(`${out}/load-door-50.json`, "utf8")) as LoadResult;
    t.match(result, { kind: "load", calls: 0, ratePerSecond: 50, failures: [] });
    const value = (name: string): number =>
      result.figures.find((figure) => figure.name === name)?.value ?? -1;
    t.ok(value("answers") >= 50, `${value("answers")} of about 100`);
    t.equal(value("answers that were wrong"), 0);
    for (const name of ["webhook to answer p50", "node CPU per answer", "generator CPU per answer"]) {
      t.ok(value(name) > 0, name);
    }
    t.ok(result.windows.some(({ answers, edgeCores }) => answers! > 0 && edgeCores! > 0));
    t.match(await readFile(`${out}/load-door-50.html`, "utf8"), /50 requests a second[^]*nothing failed/);
  },
);

void t.test(
  "the control plane's API is read by schedule, each answer is the right one; what it cannot be told is refused",
  { timeout: 240_000 },
  async (t) => {
    const out = t.testdir({ "door.toml": 'front = "grpc"\nratePerSecond = 40\nconnections = 2\n' });
    const lines: string[] = [];
    const output = { write: (text: string): void => void lines.push(text), colors: false, columns: 100 };
    const asked = { calls: 1, seconds: 1, processes: 1, mix: `${out}/door.toml`, out, json: false } as const;
    const options = { ...asked, to: "+12025550101", carrier: "twilio" } as const;
    // It measured a control plane of its own, and said nothing of it.
    for (const elsewhere of [{ target: "http://127.0.0.1:9" }, { set: { LUMENTRA_SHARDS: "1" } }])
      await t.rejects(runLoadCommand({ ...options, ...elsewhere }, output), {
        message: /no --target, no --set/,
      });
    t.equal(await runLoadCommand(options, output), 0, lines.join(""));
    const result = JSON.parse(await readFile(`${out}/load-door-40.json`, "utf8")) as LoadResult;
    t.match(result, { kind: "load", ratePerSecond: 40, failures: [] });
    const value = (name: string): number =>
      result.figures.find((figure) => figure.name === name)?.value ?? -1;
    t.equal(value("answers"), 40);
    t.ok(value("GetTenant to answer p50") > 0);
  },
);
