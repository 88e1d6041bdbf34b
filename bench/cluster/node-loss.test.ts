import t from "tap";
import { type PhoneCall, placeCall } from "#bench/caller";
import { NUMBER, checkJournal, closedJournal, percentiles, startTestCluster } from "./cluster.fixture.js";

const CALLS = 40;
/** Some seven seconds of speech: the node dies in the middle of it. */
const STORY =
  "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";

interface Caller {
  readonly call: PhoneCall;
  /** The name that only this caller says. */
  readonly name: string;
  lostAtMs: number;
  redirectedAtMs: number;
  audioAtMs: number;
}

void t.test(
  "a node is killed: each of its calls goes on at the other, nothing said is lost, nobody owns it twice",
  { timeout: 120_000 },
  async (t) => {
    const cluster = await startTestCluster(t);
    if (cluster === null) return;
    const { nodes, balancer, store } = cluster;
    const callers = await Promise.all(
      Array.from({ length: CALLS }, async (_, index): Promise<Caller> => {
        const call = await placeCall({
          nodeUrl: balancer.url,
          to: NUMBER,
          from: `+1555${String(2_000_000 + index)}`,
        });
        const caller = { call, name: nameOf(index), lostAtMs: 0, redirectedAtMs: 0, audioAtMs: 0 };
        call.on((event) => {
          if (event.kind === "verb" && event.verb.kind === "redirect") caller.redirectedAtMs = call.nowMs();
          if (event.kind === "agentStarted" && caller.redirectedAtMs > 0) caller.audioAtMs ||= event.atMs;
        });
        await call.waitForReply(0);
        return caller;
      }),
    );
    await Promise.all(
      callers.map(async ({ call, name }) => {
        const said = await call.say(`Please say ${name} ${STORY}`);
        await call.waitForAgentSpeech(said.endedAtMs, 1_500);
      }),
    );

    const rows = await store.transaction({ kind: "operator" }, "operator:test", (tx) =>
      tx.calls.list({ state: "live" }, { size: 500, after: null }),
    );
    const owners = new Map(rows.rows.map(({ carrierCallId, nodeId }) => [carrierCallId, nodeId]));
    const struck = callers.filter(({ call }) => owners.get(call.callSid) === "node-1");
    t.ok(struck.length >= CALLS / 4, `the node had ${struck.length} of the ${CALLS} calls`);
    await nodes[0]!.kill();

    await Promise.all(
      struck.map(({ call }) => call.waitUntil("a second stream", 20_000, () => call.stats.streamCount === 2)),
    );
    await Promise.all(
      callers.map(({ call }) => call.waitForHeard((text) => text.includes("sixteen"), 30_000)),
    );
    // The conversation goes on: a question of the caller's own is answered.
    await Promise.all(
      callers.map(async ({ call, name }) => {
        await call.waitForSilence(1_000);
        const said = await call.say(`Please say goodnight ${name}`);
        await call.waitForHeard(() => call.heardText(said.endedAtMs).includes(`goodnight ${name}`), 20_000);
        call.hangUp();
      }),
    );

    let resumes = 0;
    for (const { call, name } of callers) {
      const { outcome } = await call.ended;
      t.equal(outcome.kind, "callerHungUp", `${name}: was there to the end`);
      const journal = await closedJournal(cluster, call);
      const isStruck = owners.get(call.callSid) === "node-1";
      t.equal(
        checkJournal(t, journal, name),
        isStruck ? 1 : 0,
        `${name}: changed hands as often as its node died`,
      );
      resumes += isStruck ? 1 : 0;
      const said = journal.flatMap((event) => (event.kind === "callerTurn" ? [plain(event.pii.said)] : []));
      t.same(
        said,
        [`please say ${name} ${STORY}`, `please say goodnight ${name}`],
        `${name}: both turns, once`,
      );
      const words = call
        .heardText()
        .toLowerCase()
        .replaceAll(/[^a-z ]/g, "")
        .split(" ");
      t.ok(
        hasInOrder(words, `${name} ${STORY} goodnight ${name}`.split(" ")),
        `${name}: heard every word of it`,
      );
      const strangers = callers.filter((other) => other.name !== name && words.includes(other.name));
      t.same(strangers, [], `${name}: heard nobody else's`);
    }
    t.comment(
      `${resumes} calls resumed; redirect to first audio ` +
        percentiles(struck.map(({ redirectedAtMs, audioAtMs }) => audioAtMs - redirectedAtMs)),
    );
  },
);

/** One word for each caller, of letters: a b … z aa ab … */
function nameOf(index: number): string {
  const letters = "bdfgklmnprst";
  return `${letters[Math.floor(index / letters.length)]!}o${letters[index % letters.length]!}a`;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z ]/g, "");
}

function hasInOrder(words: readonly string[], wanted: readonly string[]): boolean {
  let next = 0;
  for (const word of words) if (word === wanted[next]) next += 1;
  return next === wanted.length;
}
