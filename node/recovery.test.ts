/** A call whose actor or shard is lost, at the wire: the phone keeps its media socket and hears the call go on. */
import t, { type Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import type { JournalEvent } from "#actors/journal";
import { DEATHS, DYING_SHARD_ENTRY, type Death } from "./deaths.fixture.js";
import { type TestNode, factsOf, heardExactly, plainWords, startTestNode } from "./node.fixture.js";
import { isOneJournal } from "./resume.fixture.js";

// Each test has a node of its own; they run side by side.
t.jobs = 2;

const REPLY =
  "We have a table by the window, one near the kitchen, one upstairs in the quiet room, and two on the terrace. Which would you like?";

async function startDyingNode(t: Test, environment: Record<string, string> = {}): Promise<TestNode> {
  const server = await startTestNode(t, {
    shardEntry: DYING_SHARD_ENTRY,
    environment: { LUMENTRA_SPARE_SHARD: "true", ...environment },
  });
  server.emulators.groq.script(/which tables/i, { text: REPLY });
  server.emulators.groq.script(/upstairs/i, { text: "Then it is the quiet one." });
  await spareIsReady(server);
  return server;
}

async function spareIsReady({ admin }: TestNode): Promise<void> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const { shards } = JSON.parse((await admin("/healthz/ready")).text) as {
      shards: { role: string; state: string }[];
    };
    if (shards.every(({ state }) => state === "ready")) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the spare shard was never ready");
}

function endsWith(words: string): (text: string) => boolean {
  return (text) => plainWords(text).join(" ").endsWith(words);
}

function wordsSince(phone: PhoneCall, count: number): string[] {
  return plainWords(
    phone.heard
      .slice(count)
      .map(({ word }) => word)
      .join(" "),
  );
}

/** One journal, and of the replies the words that were heard (J3). */
function holdsTogether(t: Test, journal: readonly JournalEvent[], resumes: number): void {
  isOneJournal(t, journal);
  t.equal(factsOf(journal, "callResumed").length, resumes);
}

for (const death of ["crashes", "throws", "exits", "hangs"] as const satisfies readonly Death[]) {
  void t.test(
    `in mid-reply, a call that ${death}: the caller hears every word once, and the conversation goes on`,
    { buffered: true },
    async (t) => {
      const server = await startDyingNode(t);
      const phone = await server.call();
      await phone.waitForHeard(endsWith("help you"));
      await phone.waitForReply(0);
      const greetingWords = phone.heard.length;
      await phone.say("Which tables do you have?");
      await phone.waitForHeard((text) => /window one near/.test(plainWords(text).join(" ")));
      phone.dtmf(DEATHS[death]);
      await phone.waitForHeard(endsWith("would you like"));

      await phone.say("The one upstairs.");
      await phone.waitForHeard(endsWith("quiet one"));
      phone.hangUp();
      const journal = await server.journal(phone);
      holdsTogether(t, journal, 1);
      t.equal(factsOf(journal, "callResumed")[0]!.reason, death === "crashes" ? "actorCrashed" : "shardLost");
      t.match(journal.at(-1), { outcome: { kind: "callerHungUp" } });
      t.equal(phone.stats.streamCount, 1, "the media socket is the same");
      await heardExactly(
        t,
        phone,
        wordsSince(phone, greetingWords).slice(0, plainWords(REPLY).length),
        plainWords(REPLY),
        "the reply",
      );
      const resumed = factsOf(journal, "callResumed")[0]!;
      t.comment(`${death}: gap ${Math.round(resumed.gapMs)} ms, underruns ${phone.stats.underrunCount}`);
    },
  );
}
