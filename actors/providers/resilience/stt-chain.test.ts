import t from "tap";
import { silentLogger } from "#runtime/telemetry";
import { MULAW_8K } from "#runtime/media";
import { seededRandom } from "#runtime/actor";
import { ScriptedStt } from "../stt/scripted-stt.fixture.js";
import { BACKOFF_MAX_MS } from "../backoff.js";
import { FAULTS_IN_ROW, PROBES_TO_CLOSE } from "./breaker.js";
import { chainBench, failure } from "./chain.fixture.js";
import { RETRY_RESERVE } from "./retry-budget.js";
import { SttChain } from "./stt-chain.js";

const REQUEST = { callId: "c", model: "", language: "en", format: MULAW_8K, keyterms: [] };

function setUp(names: readonly string[]) {
  const bench = chainBench();
  const stts = names.map((name) => new ScriptedStt(name));
  const chain = new SttChain(
    stts.map((stt) => ({
      name: stt.name,
      model: `${stt.name}-model`,
      account: bench.accounts.get("STT", stt.name),
      provider: () => stt,
    })),
    { ...bench, random: seededRandom(1), log: silentLogger, tenantId: "t" },
  );
  const open = () => {
    const told: string[] = [];
    const stream = chain.open(REQUEST, {
      onInterim: () => {},
      onFinal: ({ text }) => void told.push(text),
      onSpeechStarted: () => {},
      onEagerEndOfTurn: () => {},
      onTurnResumed: () => {},
      onSwitched: (from, to, code) => void told.push(`${from} ${code} ${to}`),
      onError: (error) => void told.push(`error ${error.code}`),
    });
    return { told, stream };
  };
  return { ...bench, open, one: stts[0]!, two: stts[1]! };
}

void t.test(
  "a recogniser whose breaker is open is passed over; its ticket comes back at the end",
  async (t) => {
    const { open, one, two, clock, counted, inFlight } = setUp(["one", "two"]);
    for (let index = 0; index < FAULTS_IN_ROW; index += 1) {
      const { stream } = open();
      one.last.fail(failure("STT_CONNECT_FAILED"));
      clock.advance(1);
      stream.close();
    }
    t.ok(counted.includes("STT one open"));
    const before = one.streams.length;
    const { told, stream } = open();
    clock.advance(1);
    t.equal(one.streams.length, before);
    two.last.events.onReady?.();
    two.last.final([{ word: "hello", startMs: 0, endMs: 300 }], 0, 300);
    t.same(told, ["hello"]);
    t.equal(inFlight(), 1);
    stream.close();
    t.equal(inFlight(), 0);
  },
);

void t.test("whatever is asked of the list's stream is asked of the recogniser's", async (t) => {
  const { open, one } = setUp(["one"]);
  const { stream } = open();
  one.last.events.onReady?.();
  one.last.calls.splice(0);
  stream.write(new Uint8Array(160), true);
  for (const ask of ["flush", "nudge", "finalize"] as const) stream[ask]();
  t.equal(one.last.audio.length, 1);
  t.same(one.last.calls, ["flush", "nudge", "finalize"]);
  stream.close();
  t.notOk(one.last.isOpen);
});

void t.test("one that drops is told as a switch, also to itself", async (t) => {
  const { open, one, clock } = setUp(["one"]);
  const { told, stream } = open();
  one.last.events.onReady?.();
  one.last.fail(failure("STT_STREAM_BROKEN"));
  clock.advance(1_000);
  t.equal(one.streams.length, 2);
  one.last.events.onReady?.();
  t.same(told, ["one STT_STREAM_BROKEN one"]);
  stream.close();
});

void t.test(
  "calls whose streams worked may all dial again; dials that fail are not repeated without end",
  async (t) => {
    const { open, one, clock, counted } = setUp(["one"]);
    const calls = Array.from({ length: 100 }, () => open());
    for (const stream of one.streams) {
      stream.events.onReady?.();
      stream.events.onSpeechStarted(0);
    }
    for (const stream of one.streams.slice()) if (stream.isOpen) stream.fail(failure("STT_STREAM_BROKEN"));
    let seen = 100;
    for (let step = 0; step < 20_000; step += 10) {
      clock.advance(10);
      for (; seen < one.streams.length; seen += 1) one.streams[seen]!.events.onReady?.();
    }
    const deaf = calls.filter(({ told }) => told.some((line) => line.startsWith("error"))).length;
    t.equal(deaf, 0, "every call hears again");
    t.notOk(counted.some((line) => line.includes("retryBudget")));

    const outage = one.streams.length;
    for (const stream of one.streams.slice()) if (stream.isOpen) stream.fail(failure("STT_STREAM_BROKEN"));
    let failed = outage;
    for (let step = 0; step < 30_000; step += 10) {
      clock.advance(10);
      for (; failed < one.streams.length; failed += 1)
        one.streams[failed]!.fail(failure("STT_CONNECT_FAILED"));
    }
    const dials = one.streams.length - outage;
    t.ok(dials <= 100 + RETRY_RESERVE * 3, `${dials} dials of 100 calls in an outage`);
    t.ok(
      calls.every(({ told }) => told.at(-1)!.startsWith("error")),
      "each is told",
    );
  },
);

/** Each of its streams opened, which counted as a success; so it was asked by every call, and every call waited for it. */
void t.test(
  "one that lets everybody in and tells nothing is left alone, until words come of it",
  async (t) => {
    const { open, one, clock, counted, accounts } = setUp(["one", "two"]);
    for (let index = 0; index < FAULTS_IN_ROW; index += 1) {
      const { stream } = open();
      one.last.events.onReady?.();
      one.last.fail(failure("STT_TIMEOUT"));
      clock.advance(1);
      stream.close();
    }
    t.ok(counted.includes("STT one open"));
    const account = accounts.get("STT", "one");
    clock.advance(BACKOFF_MAX_MS);
    for (let probe = 0; probe < PROBES_TO_CLOSE; probe += 1) {
      const asked = one.streams.length;
      const { stream } = open();
      t.equal(one.streams.length, asked + 1);
      one.last.events.onReady?.();
      t.equal(account.state.breaker, "halfOpen", "it let us in before, too");
      one.last.final([{ word: "hello", startMs: 0, endMs: 300 }], 0, 300);
      stream.close();
    }
    t.equal(account.state.breaker, "closed");
  },
);
