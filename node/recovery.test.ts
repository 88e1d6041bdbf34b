/** A call whose actor or shard is lost, at the wire: the phone keeps its media socket and hears the call go on. */
import t, { type Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import type { JournalEvent } from "#actors/journal";
import { DEATHS, type Death } from "./deaths.fixture.js";
import { factsOf, heardExactly, plainWords } from "./node.fixture.js";
import {
  REPLY,
  allServe,
  greeted,
  heardMore,
  numberOf,
  shardsOf,
  startDyingNode,
  wordsSince,
} from "./recovery.fixture.js";
import { isOneJournal } from "./resume.fixture.js";

const server = await startDyingNode(t, { LUMENTRA_SHARDS: "2", LUMENTRA_SHARD_HEAP_MIB: "128" });
const { call, journal, admin, emulators } = server;
const intended = plainWords(REPLY);

/** One journal, ended by the caller, with the resumes that were; and no word claimed that was not heard (J3). */
async function closed(t: Test, phone: PhoneCall, reasons: readonly string[]): Promise<JournalEvent[]> {
  phone.hangUp();
  const events = await journal(phone);
  isOneJournal(t, events);
  t.match(events.at(-1), { outcome: { kind: "callerHungUp" } });
  t.same(
    factsOf(events, "callResumed").map(({ reason }) => reason),
    reasons,
  );
  t.equal(phone.stats.streamCount, 1, "the media socket is the same");
  return events;
}

async function inMidReply(tenant: number): Promise<{ phone: PhoneCall; since: number }> {
  const phone = await call({ to: numberOf(tenant) });
  const since = await greeted(phone);
  await phone.say("Which tables do you have?");
  await heardMore(phone, since, 6);
  return { phone, since };
}

const IN_MID_REPLY = ["crashes", "throws", "exits", "hangs", "exhausts"] as const satisfies readonly Death[];

for (const [tenant, death] of IN_MID_REPLY.entries()) {
  void t.test(`in mid-reply, a call that ${death}: every word is heard once, and it goes on`, async (t) => {
    const other = await call({ to: numberOf(11) });
    await greeted(other);
    const { phone, since } = await inMidReply(tenant);
    const before = { shards: await shardsOf(server), clears: phone.stats.clears };
    phone.dtmf(DEATHS[death]);
    await heardMore(phone, since, intended.length);
    await phone.waitForReply(0);
    t.equal(phone.stats.clears, before.clears, "what the carrier had was played");
    const heard = wordsSince(phone, since);

    await phone.say("The one upstairs.");
    await heardMore(phone, since, intended.length + 6);
    const spokenTo = await other.say("Is there parking?");
    await other.waitForReply(spokenTo.endedAtMs);
    t.match(other.heardText(spokenTo.endedAtMs), /parking/, "the other call has noticed nothing");
    other.hangUp();
    t.same(factsOf(await journal(other), "callResumed"), []);

    const events = await closed(t, phone, [death === "crashes" ? "actorCrashed" : "shardLost"]);
    await heardExactly(t, phone, heard, intended, "the reply");
    const turns = factsOf(events, "agentTurn").filter(({ turn }) => turn === 1);
    t.same(
      turns.flatMap(({ pii }) => plainWords(pii.heard)),
      intended,
      "the journal holds what was heard, each word once",
    );
    const { gapMs } = factsOf(events, "callResumed")[0]!;
    t.comment(`${death}: gap ${gapMs.toFixed(1)} ms, underruns ${phone.stats.underrunCount}`);
    await allServe(server);
  });
}

void t.test("a crash in the greeting: it is heard to its end", async (t) => {
  const phone = await call({ to: numberOf(5) });
  await heardMore(phone, 0, 2);
  phone.dtmf(DEATHS.crashes);
  await phone.waitForReply(0, undefined, 1_200);
  const events = await closed(t, phone, ["actorCrashed"]);
  const greeting = factsOf(events, "agentTurn").flatMap(({ pii }) => plainWords(pii.heard));
  await heardExactly(t, phone, wordsSince(phone, 0), greeting, "the greeting");
});

void t.test("a crash while the model thinks: the question is answered once", async (t) => {
  let open!: () => void;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  emulators.groq.script(/how many/i, { parts: [{ gate }, { text: "There are forty seats." }] });
  const phone = await call({ to: numberOf(6) });
  const since = await greeted(phone);
  await phone.say("How many seats are there?");
  await written(phone, "callerProgress");
  phone.dtmf(DEATHS.crashes);
  await written(phone, "callResumed");
  open();
  await heardMore(phone, since, 4);
  await phone.waitForReply(0);
  const events = await closed(t, phone, ["actorCrashed"]);
  t.same(wordsSince(phone, since), plainWords("There are forty seats."));
  t.same(
    factsOf(events, "callerTurn").map(({ turn, pii }) => [turn, plainWords(pii.said).join(" ")]),
    [[1, "how many seats are there"]],
  );
});

void t.test("the shard dies while the caller speaks: no word of the sentence is lost", async (t) => {
  const phone = await call({ to: numberOf(7) });
  const since = await greeted(phone);
  const saying = phone.say("Which tables do you have?");
  await new Promise((resolve) => setTimeout(resolve, 900));
  phone.dtmf(DEATHS.exits);
  await saying;
  await heardMore(phone, since, intended.length);
  const events = await closed(t, phone, ["shardLost"]);
  t.same(
    factsOf(events, "callerTurn").map(({ pii }) => plainWords(pii.said).join(" ")),
    ["which tables do you have"],
  );
  await allServe(server);
});

void t.test("a shard is drained: its calls move in mid-reply and between turns, unheard", async (t) => {
  const quiet = await call({ to: numberOf(8) });
  await greeted(quiet);
  const { phone: speaking, since } = await inMidReply(9);
  for (const { shardId, live, role } of await shardsOf(server)) {
    if (live === 0 || role !== "serving") continue;
    const { status } = await fetch(`${server.adminUrl}/shards/${shardId}/drain`, { method: "POST" });
    t.equal(status, 202);
    await allServe(server);
  }
  t.equal((await fetch(`${server.adminUrl}/shards/77/drain`, { method: "POST" })).status, 404);
  await heardMore(speaking, since, intended.length);
  await speaking.waitForReply(0);
  t.equal(speaking.stats.clears, 0);
  await heardExactlyNow(t, speaking, wordsSince(speaking, since));
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

async function heardExactlyNow(t: Test, phone: PhoneCall, heard: string[]): Promise<void> {
  if (phone.stats.underrunCount === 0) return void t.same(heard, intended, "each word once");
  t.ok(
    heard.length >= intended.length - phone.stats.underrunCount,
    "each word, but for the machine's own gaps",
  );
}

/** Resolves when the call's journal has an event of the kind. */
async function written(phone: PhoneCall, kind: JournalEvent["kind"]): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const { status, text } = await admin(`/calls/${phone.callSid}/journal`);
    const events = status === 200 ? (JSON.parse(text) as { journal: JournalEvent[] }).journal : [];
    if (events.some((event) => event.kind === kind)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`no ${kind} was written`);
}
