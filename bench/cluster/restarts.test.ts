import t from "tap";
import { placeCall } from "#bench/caller";
import { NUMBER, checkJournal, closedJournal, startTestCluster } from "./cluster.fixture.js";

const CALLERS = 20;
const TURNS = 8;

void t.test(
  "a control plane is killed, Redis forgets everything, Postgres restarts: callers notice nothing, nothing is lost or doubled",
  { timeout: 150_000 },
  async (t) => {
    const cluster = await startTestCluster(t);
    if (cluster === null) return;
    const { balancer, controlPlanes, postgres, redis, store } = cluster;
    let turnsTaken = 0;
    const passed = (share: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setInterval(() => {
          if (turnsTaken < share * CALLERS * TURNS) return;
          clearInterval(timer);
          resolve();
        }, 50);
      });

    const troubles = (async () => {
      await passed(0.1);
      await controlPlanes[0]!.kill();
      await passed(0.3);
      await redis.restart({ keepData: false });
      await passed(0.6);
      await postgres.restart();
    })();
    const late = passed(0.45).then(() =>
      placeCall({ nodeUrl: balancer.url, to: NUMBER, from: "+15553000000" }),
    );

    const calls = await Promise.all(
      Array.from({ length: CALLERS }, async (_, index) => {
        const call = await placeCall({
          nodeUrl: balancer.url,
          to: NUMBER,
          from: `+1555${String(2_100_000 + index)}`,
        });
        await call.waitForReply(0);
        for (let turn = 0; turn < TURNS; turn += 1) {
          const words = `${WORDS[index]!} ${WORDS[turn]!}`;
          const said = await call.say(`Please say ${words}`);
          await call.waitForHeard(() => call.heardText(said.endedAtMs).toLowerCase().includes(words), 20_000);
          await call.waitForSilence(700);
          turnsTaken += 1;
        }
        return call;
      }),
    );
    await troubles;
    const lateCall = await late;
    await lateCall.waitForReply(0);
    t.equal(lateCall.outcome, null, "a call that came while Redis had forgotten everything was answered");

    for (const call of [...calls, lateCall]) call.hangUp();
    let events = 0;
    for (const [index, call] of [...calls, lateCall].entries()) {
      const { stats } = await call.ended;
      t.equal(stats.streamCount, 1, `call ${index}: one stream from beginning to end`);
      const journal = await closedJournal(cluster, call);
      t.equal(checkJournal(t, journal, `call ${index}`), 0, `call ${index}: one owner`);
      const turns = journal.filter(({ kind }) => kind === "callerTurn").length;
      t.equal(turns, call === lateCall ? 0 : TURNS, `call ${index}: every turn is there once`);
      events += journal.length;
    }
    const { rows } = await store.transaction({ kind: "operator" }, "operator:test", (tx) =>
      tx.calls.list({}, { size: 500, after: null }),
    );
    t.equal(rows.length, CALLERS + 1, "no call was stored twice");
    const { nodes } = await cluster.operator.call("NodeService", "ListNodes", {});
    t.same(
      nodes.map(({ calls: count }) => count),
      [0, 0],
      "placement counts nobody any more",
    );
    t.comment(`${CALLERS + 1} calls, ${turnsTaken} turns, ${events} events: none lost, none twice`);
  },
);

const WORDS = (
  "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec " +
  "romeo sierra tango uniform victor"
).split(" ");
