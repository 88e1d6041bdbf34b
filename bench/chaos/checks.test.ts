import { readFileSync } from "node:fs";
import t from "tap";
import type { JournalEvent } from "#actors/journal";
import { SystemClock } from "#runtime/actor";
import { type Evidence, failuresOf } from "./checks.js";
import { type StruckFault, unseenJumps } from "./faults.js";
import type { Checks } from "./scenario-schema.js";
import { loadScenario, parseScenario } from "./scenario.js";
import { renderScenariosPage } from "./scenarios-page.js";
import { storiesOf } from "./story.js";
import { type AskedTurn, type Caller, Workload, heardAll, spelled, wordsOf } from "./workload.js";

const WORDS = ["alfa", "bravo", "charlie"];

function checks(text: string): Checks {
  return parseScenario(
    "test",
    `title = "t"\nhears = "h"\n[workload]\ncalls = 1\nturns = 1\n[checks]\n${text}`,
    "full",
  ).checks;
}

function evidence(heard: string, journal: readonly Partial<JournalEvent>[] = whole()): Evidence {
  const workload = new Workload({
    calls: 1,
    turns: 1,
    words: 3,
    arrivalsPerSecond: 1,
    repeats: false,
    leavesMessages: false,
    thinkMs: 0,
    line: {},
  });
  const turn: AskedTurn = { words: WORDS, heard: heard.split(" "), answered: true, delayMs: 1 };
  const call = { heardText: () => heard } as Caller["call"];
  workload.callers.push({ index: 0, call, turns: [turn], result: Promise.reject(new Error("not asked")) });
  workload.callers[0]!.result.catch(() => {});
  return {
    workload,
    journals: new Map([[0, journal as readonly JournalEvent[]]]),
    streams: new Map([[0, 1]]),
    metrics: new Map([["gone_total", 3]]),
    delayMs: { p50: 400, p95: 900, max: null },
    refusals: new Map([["slow", 2]]),
    leftovers: [],
  };
}

function whole(): Partial<JournalEvent>[] {
  return [
    { kind: "callStarted", sequence: 0, epoch: 1 },
    { kind: "callEnded", sequence: 1, epoch: 1, outcome: { kind: "callerHungUp" } },
  ];
}

void t.test("each check fails on what it is for, and on nothing else", (t) => {
  const once = checks('heard = "once"');
  const least = checks('heard = "atLeastOnce"');
  t.same(failuresOf(once, evidence("one moment alfa bravo charlie")), [], "a filler is no word of theirs");
  t.not(failuresOf(once, evidence("alfa bravo")).length, 0, "a word is missing");
  t.not(failuresOf(once, evidence("alfa bravo bravo charlie")).length, 0, "a word came twice");
  t.same(failuresOf(least, evidence("alfa bravo bravo charlie")), [], "twice is at least once");
  const goesOn = evidence("alfa bravo charlie");
  goesOn.workload.furtherTurns = 1;
  t.match(failuresOf(once, goesOn), [/^1 of 2 sentences/], "one more was asked than the scenario has");
  t.not(failuresOf(least, evidence("alfa charlie bravo")).length, 0, "out of order");
  t.not(failuresOf(least, evidence("alfa bravo charlie zulu")).length, 0, "somebody else's word");

  const share = checks("heardShareMin = 0");
  t.same(failuresOf(share, evidence("alfa brafo")), [], "a damaged word");
  t.match(
    failuresOf(share, evidence("alfa bravo zulu")),
    [/never asked for “zulu”/],
    "another's is never forgiven",
  );

  const right = "alfa bravo charlie";
  t.same(failuresOf(checks('outcomes = { callerHungUp = "rest" }'), evidence(right)), []);
  t.match(failuresOf(checks("outcomes = { shardLost = 1 }"), evidence(right)), [
    /1 calls ended with/,
    /0 calls/,
  ]);
  t.match(failuresOf(checks("refused = 1"), evidence(right)), [
    /^0 callers were refused, 1 should be; by the nodes: slow 2$/,
  ]);
  t.match(failuresOf(checks('apology = { callers = 1, says = "sorry" }'), evidence(right)), [
    /0 callers heard/,
  ]);
  t.match(failuresOf(checks("resumed = { callsMin = 1 }"), evidence(right)), [/0 calls were gone on with/]);
  t.match(failuresOf(checks("streams = 2"), evidence(right)), [/had 1 media streams/]);
  t.match(failuresOf(checks("journal = { messageTaken = 1 }"), evidence(right)), [/0 events messageTaken/]);
  t.match(failuresOf(checks("metrics = { gone_total = { max = 2 } }"), evidence(right)), [/grew by 3/]);
  t.same(failuresOf(checks("metrics = { gone_total = { min = 3 } }"), evidence(right)), []);
  t.same(failuresOf(checks('metrics = { "gone_total{of=\\"x\\"}" = { max = 0 } }'), evidence(right)), []);
  t.same(failuresOf(checks("delayMs = { p50 = { min = 400 }, p95 = { max = 900 } }"), evidence(right)), []);
  t.match(failuresOf(checks("delayMs = { p50 = { min = 401 } }"), evidence(right)), [
    /p50 of the delays is 400/,
  ]);
  t.match(failuresOf(checks("delayMs = { max = { max = 9 } }"), evidence(right)), [
    /max of the delays is none/,
  ]);
  t.match(failuresOf(checks("metrics = { lost_total = { max = 0 } }"), evidence(right)), [/no lost_total/]);
  t.end();
});

void t.test("a journal with a gap, two owners at once, no beginning or no end is found", (t) => {
  const none = checks("");
  const [start, end] = whole() as [Partial<JournalEvent>, Partial<JournalEvent>];
  t.same(failuresOf(none, evidence("alfa")), []);
  t.match(failuresOf(none, evidence("alfa", [start, { ...end, sequence: 2 }])), [/missing or twice/]);
  t.match(failuresOf(none, evidence("alfa", [{ ...start, epoch: 2 }, end])), [/old owner/]);
  t.match(failuresOf(none, evidence("alfa", [{ ...end, sequence: 0 }])), [/no beginning/]);
  t.match(failuresOf(none, evidence("alfa", [start])), [/0 ends/]);
  t.end();
});

void t.test("a failure that names a caller tells what happened to him, in order", (t) => {
  const call = {
    said: [{ text: "Please say alfa", startedAtMs: 1_000, endedAtMs: 1_900 }],
    heard: [{ word: "alfa", playedAtMs: 2_300 }],
    spurts: [{ startedAtMs: 2_250, endedAtMs: 2_700, cut: false, underrunCount: 1, underrunMs: 62 }],
  } as unknown as Caller["call"];
  const callers = [0, 1].map((index) => ({ index, call }) as Caller);
  const told = {
    kind: "callerTurn",
    atMs: 2_000,
    epoch: 7,
    sequence: 3,
    turn: 1,
    pii: { said: "Please say" },
  };
  const journals = new Map([[1, [told as unknown as JournalEvent]]]);
  const struck = [{ fault: { what: "line" } as StruckFault["fault"], atMs: 1_500 }];
  t.same(
    storiesOf(["1 of 2 sentences came back right", "caller 1, turn 0: asked"], callers, journals, struck),
    [
      "caller 1:",
      "   0.000 says “Please say alfa”",
      "   0.500 ! line",
      "   0.900 has said it",
      '   1.000   callerTurn turn 1, said "Please say" (7.3)',
      "   1.250 the agent begins to speak",
      "   1.300 hears “alfa”",
      "   1.700 falls silent, after 1 gaps of 62 ms in all",
    ],
  );
  t.same(storiesOf(["nobody by name"], callers, journals, struck), []);
  t.end();
});

void t.test("callers have words of their own, and a scenario that is wrong says where", (t) => {
  t.not(wordsOf(1, 0, 4).join(" "), wordsOf(2, 0, 4).join(" "));
  t.same(spelled(["please", "hold", "alfa"]), ["alfa"]);
  t.ok(heardAll(["alfa", "alfa", "bravo"], ["alfa", "bravo"]));
  t.notOk(heardAll(["bravo", "alfa"], ["alfa", "bravo"]));
  t.notOk(heardAll(["alfa", "bravo"], ["alfa", "bravo", "alfa"]));
  t.throws(() => parseScenario("x", "title = ", "full"), /scenario x/);
  t.throws(() => checks('heard = "twice"'), /scenario test: [\s\S]*heard/);
  t.throws(
    () => parseScenario("x", 'title="t"\nhears="h"\nworkload={calls=1}\n[[faults]]\nwhat="meteor"', "full"),
    /faults/,
  );
  t.throws(() => parseScenario("x", "title = ", "full"), { code: "BENCH_MIX_INVALID" });
  const withFault =
    (fault: string, stage = "") =>
    () =>
      parseScenario(
        "x",
        `title="t"\nhears="h"\nstage={${stage}}\nworkload={calls=1}\nfaults=[{${fault}}]`,
        "full",
      );
  t.throws(withFault('what="clock", ms=1, node=1'), /x: faults\[0\]: what = "clock" strikes node 1/);
  t.throws(withFault('what="shard", does="exits", shard=2', "shards=2"), /strikes shard 2:/);
  t.throws(withFault('what="process", which="redis", does="restart"'), /only a stage with kind = "cluster"/);
  t.throws(withFault('what="process", which="node", does="restart"'), /knows "kill" alone/);
  t.throws(withFault('what="process", which="postgres", does="kill"', 'kind="cluster"'), /"restart" alone/);
  t.doesNotThrow(withFault('what="shard", does="exits", shard=1', "shards=2"));
  t.throws(withFault('what="clock", ms=1, afterms=3'), /"afterms"[\s\S]*faults\[0\]/);
  t.throws(withFault('what="line", does="stall"'), /does = "stall", which needs it[\s\S]*faults\[0\]\.ms/);
  t.throws(withFault('what="network", to="groq", does="cut", ms=5'), /does = "delay"/);
  const groq = (fault: string) => withFault(`what="provider", target="groq", fault={${fault}}`);
  t.throws(groq('kind="statsu", status=500'), /one of these kinds: status,[\s\S]*faults\[0\]\.fault/);
  t.throws(groq('kind="status"'), /status needs status/);
  t.throws(groq('kind="cut", afterTokens=1, forMs=2'), /cut knows no forMs; it takes afterTokens/);
  t.doesNotThrow(groq('kind="stall", afterTokens=1, forMs=2'));
  t.throws(withFault('what="provider", target="gorq", fault={kind="reset"}'), /faults\[0\]\.target/);
  t.throws(
    withFault('what="providerLive", target="deepgram", fault={kind="refuse", status=500}'),
    /kinds: close/,
  );
  t.throws(withFault('what="latency", ms={llmFirstToken=5}'), /"llmFirstToken"/);
  t.throws(withFault('what="limits", limits={cartesiaContxts=1}'), /"cartesiaContxts"/);
  t.throws(withFault('what="disk", does="fill"'), /faults\[0\]: what = "disk" wants a spool/);
  t.throws(withFault('what="disk", does="fill", after=0.5', 'kind="cluster"'), /before the first call/);
  t.throws(
    withFault('what="process", which="controlPlane", index=2, does="kill"', 'kind="cluster"'),
    /plane 2/,
  );
  t.throws(withFault('what="clock", ms=1', "nodes=2"), /stage\.nodes is 2/);
  t.throws(withFault('what="clock", ms=1', "tenant={llmm={}}"), /stage\.tenant: .*"llmm"/);
  t.throws(withFault('what="clock", ms=1', 'tenant={llm={provider="grok"}}'), /stage\.tenant\.llm\.provider/);
  t.throws(() => checks("journal = { messageTakn = 1 }"), /messageTakn/);
  t.throws(() => checks('outcomes = { callerHungup = "rest" }'), /callerHungup/);
  t.throws(
    () => checks('apology = { callers = 1, says = "(" }'),
    /no regular expression[\s\S]*apology\.says/,
  );
  t.throws(() => checks("refused = 2"), /checks\.refused is 2, of 1 calls/);
  t.throws(() => checks('heard = "once"\nheardShareMin = 0.5'), /one of the two/);
  t.throws(() => checks("metrics = { gone_total = { min = 2, max = 1 } }"), /at least 2 and at most 1/);
  t.throws(() => loadScenario("meteor", "full"), /no scenario meteor; there are actors-crash/);
  t.throws(() => loadScenario("no/such.toml", "full"), /no\/such\.toml: ENOENT/);
  t.equal(loadScenario("bench/chaos/scenarios/calm.toml", "small").name, "calm");
  const text = 'title="t"\nhears="h"\n[workload]\ncalls=40\nturns=9\n[small]\ncalls=2';
  t.match(parseScenario("x", text, "small").workload, { calls: 2, turns: 9 });
  t.match(parseScenario("x", text, "full").workload, { calls: 40, turns: 9 });
  t.end();
});

void t.test("a clock that did not jump is found", (t) => {
  const now = { atMs: new SystemClock().nowMs(), atUnixMs: Date.now() } as JournalEvent;
  const jump = { fault: { what: "clock", node: 0, ms: 3_600_000 } as StruckFault["fault"], atMs: 0 };
  t.match(unseenJumps([jump], new Map([[0, [now]]])), [/clock of node 0 jumped by 3600000 ms, and no event/]);
  t.same(unseenJumps([jump], new Map([[0, [now, { ...now, atUnixMs: now.atUnixMs + 3_600_000 }]]])), []);
  t.end();
});

void t.test("docs/SCENARIOS.md is what the schema says, and its example can be read", (t) => {
  const page = renderScenariosPage();
  t.equal(readFileSync("docs/SCENARIOS.md", "utf8"), page);
  const example = /```toml\n([\s\S]*?)```/.exec(page)![1]!;
  t.equal(parseScenario("example", example, "small").workload.calls, 2);
  t.end();
});
