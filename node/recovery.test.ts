/** A call whose shard is lost, at the wire: the phone keeps its media socket and hears the call go on. */
import t from "tap";
import { DEATHS, type Death } from "./deaths.fixture.js";
import { factsOf, plainWords } from "./node.fixture.js";
import {
  REPLY,
  allServe,
  closed,
  diesInMidReply,
  greeted,
  heardMore,
  inMidReply,
  numberOf,
  shardsOf,
  startDyingNode,
  wordsSince,
} from "./recovery.fixture.js";
import { isOneJournal } from "./resume.fixture.js";

const server = await startDyingNode(t, { LUMENTRA_SHARDS: "2", LUMENTRA_SHARD_HEAP_MIB: "128" });
const { call, journal, admin } = server;
const intended = plainWords(REPLY);

const IN_MID_REPLY = ["throws", "exits", "hangs", "exhausts"] as const satisfies readonly Death[];

for (const [tenant, death] of IN_MID_REPLY.entries()) {
  void t.test(`in mid-reply, a shard that ${death}: every word is heard once, and it goes on`, async (t) => {
    await diesInMidReply(t, server, tenant, death);
    await allServe(server);
  });
}

void t.test("the shard dies while the caller speaks: no word of the sentence is lost", async (t) => {
  const phone = await call({ to: numberOf(7) });
  const since = await greeted(phone);
  const saying = phone.say("Which tables do you have?");
  await new Promise((resolve) => setTimeout(resolve, 900));
  phone.dtmf(DEATHS.exits);
  await saying;
  await heardMore(phone, since, intended.length);
  const events = await closed(t, server, phone, ["shardLost"]);
  t.same(
    factsOf(events, "callerTurn").map(({ pii }) => plainWords(pii.said).join(" ")),
    ["which tables do you have"],
  );
  await allServe(server);
});

void t.test("a shard is drained: its calls move in mid-reply and between turns, unheard", async (t) => {
  const quiet = await call({ to: numberOf(8) });
  const [{ phone: speaking, since }] = await Promise.all([inMidReply(server, 9), greeted(quiet)]);
  // Who gives no sign of life for half a minute is hung up on, and a slow machine takes longer.
  const signs = setInterval(() => quiet.dtmf("#"), 5_000);
  t.teardown(() => clearInterval(signs));
  // Heard while shards are drained: where that takes long the agent asks at last whether anybody is there.
  const hearing = (async () => {
    await heardMore(speaking, since, intended.length);
    await speaking.waitForReply(0);
    return wordsSince(speaking, since);
  })();
  for (const { shardId, live, role } of await shardsOf(server)) {
    if (live === 0 || role !== "serving") continue;
    const { status } = await fetch(`${server.adminUrl}/shards/${shardId}/drain`, { method: "POST" });
    t.equal(status, 202);
    await allServe(server);
  }
  t.equal((await fetch(`${server.adminUrl}/shards/77/drain`, { method: "POST" })).status, 404);
  t.same(await hearing, intended, "each word once");
  t.equal(speaking.stats.clears, 0);
  clearInterval(signs);
  const asked = await quiet.say("Is there parking?");
  await quiet.waitForReply(asked.endedAtMs);
  t.match(quiet.heardText(asked.endedAtMs), /parking/);
  for (const phone of [quiet, speaking]) {
    phone.hangUp();
    const events = await journal(phone);
    isOneJournal(t, events);
    const moves = factsOf(events, "callResumed");
    t.ok(
      moves.length >= 1 && moves.every(({ reason }) => reason === "moved"),
      moves.map(({ reason }) => reason).join(", "),
    );
    t.equal(phone.stats.streamCount, 1);
  }
  t.match((await admin("/metrics")).text, /lumentra_call_takeovers_total\{reason="moved"\} [2-9]/);
});
