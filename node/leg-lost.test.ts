/** A call whose media socket breaks, at the wire: the carrier runs the redirect and the conversation goes on. */
import t, { type Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import type { JournalEvent } from "#actors/journal";
import { factsOf, isProgressTo, plainWords, startTestNode, withoutAsides, written } from "./node.fixture.js";

t.jobs = 4;
const server = await startTestNode(t);
const { call, journal, admin, emulators } = server;
const REPLY = "A table by the window, one near the kitchen, and one upstairs. Which would you like?";
emulators.groq.script(/which tables/i, { text: REPLY });
emulators.groq.script(/upstairs/i, { text: "Then it is the quiet one." });

/** What both owners wrote, and nobody twice (J1, J2). */
async function closedJournal(t: Test, phone: PhoneCall): Promise<JournalEvent[]> {
  const events = await journal(phone);
  t.same(
    events.map(({ sequence }) => sequence),
    [...events.keys()],
  );
  t.ok(events.every(({ epoch }, index) => epoch >= (events[index - 1]?.epoch ?? 0)));
  t.equal(factsOf(events, "callEnded").length, 1);
  t.match(factsOf(events, "callEnded"), [{ outcome: { kind: "callerHungUp" } }]);
  return events;
}

/** The agent's words on the phone from this one on, without what it says of itself on a busy machine. */
function heardSince(phone: PhoneCall, count: number): readonly string[] {
  const words = phone.heard.slice(count).map(({ word }) => word);
  return withoutAsides(plainWords(words.join(" ")));
}

void t.test(
  "a reply goes on where its leg broke, and the conversation after it",
  { buffered: true },
  async (t) => {
    const phone = await call();
    await phone.waitForReply(0);
    const greetingWords = phone.heard.length;
    await phone.say("Which tables do you have?");
    await phone.waitForHeard((text) => /one near the/.test(plainWords(text).join(" ")));
    phone.cutMedia();
    const before = heardSince(phone, greetingWords);
    const heardByThen = phone.heard.length;
    await phone.waitForHeard(endsWith("would you like"));
    const after = heardSince(phone, heardByThen);

    const intended = plainWords(REPLY);
    t.same(before, intended.slice(0, before.length));
    t.same(after, intended.slice(-after.length));
    t.ok(before.length + after.length >= intended.length, `${before.join(" ")} | ${after.join(" ")}`);
    const twice = before.length + after.length - intended.length;
    t.ok(twice <= plainWords("one near the kitchen,").length + 1, `at most a clause twice: ${twice} words`);

    await phone.say("The one upstairs.");
    await phone.waitForHeard(endsWith("quiet one"));
    phone.hangUp();
    const events = await closedJournal(t, phone);
    const kinds = events.map(({ kind }) => kind);
    t.equal(kinds[kinds.indexOf("legLost") + 1], "callResumed");
    const cut = factsOf(events, "agentTurn").find((turn) => turn.cut === "legEnded")!;
    const claimed = withoutAsides(plainWords(cut.pii.heard));
    t.same(claimed, before.slice(0, claimed.length), "J3: no word is claimed that was not heard");
    t.equal(factsOf(events, "callerTurn").at(-1)!.turn, 2);
    t.match((await admin("/metrics")).text, /stage_latency_ms_count\{stage="webhookToResumed"\} [1-9]/);
  },
);

void t.test(
  "a leg that breaks in the greeting: the greeting is heard to its end",
  { buffered: true },
  async (t) => {
    const phone = await call();
    await phone.waitForHeard((_text, words) => words.length >= 2);
    phone.cutMedia();
    await phone.waitForHeard(endsWith("help you"));
    phone.hangUp();
    const events = await closedJournal(t, phone);
    t.equal(factsOf(events, "callResumed").length, 1);
    t.equal(factsOf(events, "agentTurn").at(-1)!.source, "greeting");
  },
);

void t.test(
  "a leg that breaks while the model thinks: the question is answered once",
  { buffered: true },
  async (t) => {
    let open!: () => void;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    emulators.groq.script(/how many/i, { parts: [{ gate }, { text: "There are forty seats." }] });
    const phone = await call();
    await phone.waitForReply(0);
    await phone.say("How many seats are there?");
    await written(server, phone, isProgressTo("are there"));
    phone.cutMedia();
    await written(server, phone, ({ kind }) => kind === "callResumed");
    open();
    await phone.waitForHeard(endsWith("forty seats"));
    phone.hangUp();
    const events = await closedJournal(t, phone);
    t.same(
      factsOf(events, "callerTurn").map(({ turn, pii }) => [turn, plainWords(pii.said).join(" ")]),
      [[1, "how many seats are there"]],
    );
  },
);

function endsWith(words: string): (text: string) => boolean {
  return (text) => plainWords(text).join(" ").endsWith(words);
}
