/** A node whose calls and shards can be taken down from the keypad, and what tests of it ask of the phone. */
import type { Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import type { JournalEvent } from "#actors/journal";
import { DEATHS, DYING_SHARD_ENTRY, type Death } from "./deaths.fixture.js";
import {
  type TestNode,
  factsOf,
  plainWords,
  saidCutOff,
  startTestNode,
  withoutAsides,
} from "./node.fixture.js";
import { isOneJournal } from "./resume.fixture.js";

export const REPLY = "We have a table by the window, one upstairs, and two on the terrace.";
/** Words of it that were heard when something dies: more than half is still to come. */
const MID_REPLY_WORDS = 5;
const GREETING = "Hello there.";
/** As in actors/call/resume-plan.ts. */
const LONG_GAP_MS = 2_000;
/** This tenant's greeting is long enough to die in it. */
export const LONG_GREETING_TENANT = 5;

/** Each test calls a tenant of its own: what one of them crashes is not held against the others. */
const TENANT_COUNT = 12;
const OTHER_TENANT = 11;

export function numberOf(tenant: number): string {
  return `+1202555${String(300 + tenant).padStart(4, "0")}`;
}

export async function startDyingNode(t: Test, environment: Record<string, string> = {}): Promise<TestNode> {
  const tenants = Object.fromEntries(
    Array.from({ length: TENANT_COUNT }, (_, index) => [
      `tenant-${index}`,
      { numbers: [numberOf(index)], ...(index !== LONG_GREETING_TENANT && { greeting: GREETING }) },
    ]),
  );
  const server = await startTestNode(t, {
    shardEntry: DYING_SHARD_ENTRY,
    environment: { LUMENTRA_SPARE_SHARD: "true", ...environment },
    tenants,
  });
  server.emulators.groq.script(/tables/i, { text: REPLY });
  server.emulators.groq.script(/upstairs/i, { text: "Then it is the quiet one." });
  await allServe(server);
  return server;
}

interface Shard {
  readonly shardId: number;
  readonly role: string;
  readonly state: string;
  readonly live: number;
}

export async function shardsOf({ admin }: TestNode): Promise<readonly Shard[]> {
  return (JSON.parse((await admin("/healthz/ready")).text) as { shards: Shard[] }).shards;
}

/** Every shard is ready, the spare among them. */
export async function allServe(server: TestNode): Promise<void> {
  for (let attempt = 0; attempt < 1_500; attempt += 1) {
    if ((await shardsOf(server)).every(({ state, role }) => state === "ready" && role !== "draining")) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("not every shard came back");
}

/** Without what the agent says of itself where the machine stands still. */
export function wordsSince(phone: PhoneCall, count: number): readonly string[] {
  const words = phone.heard.slice(count).map(({ word }) => word);
  return withoutAsides(plainWords(words.join(" ")));
}

export async function heardMore(phone: PhoneCall, since: number, wordCount: number): Promise<void> {
  await phone.waitForHeard(() => wordsSince(phone, since).length >= wordCount);
}

/** The greeting was heard; how many words have been. */
export async function greeted(phone: PhoneCall): Promise<number> {
  await phone.waitForReply(0);
  return phone.heard.length;
}

/** A call of this tenant that hears the reply's first words; the words heard before them. */
export async function inMidReply(
  { call }: TestNode,
  tenant: number,
): Promise<{ phone: PhoneCall; since: number }> {
  const phone = await call({ to: numberOf(tenant) });
  const since = await greeted(phone);
  await phone.say("Which tables do you have?");
  await heardMore(phone, since, MID_REPLY_WORDS);
  return { phone, since };
}

/** One journal, ended by the caller, with the resumes that were; and no word claimed that was not heard (J3). */
export async function closed(
  t: Test,
  { journal }: TestNode,
  phone: PhoneCall,
  reasons: readonly string[],
): Promise<JournalEvent[]> {
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

/**
 * What carries the call dies in mid-reply: every word of the reply is heard once, the journal holds the same, and the
 * call goes on, as does another that was there.
 */
export async function diesInMidReply(t: Test, server: TestNode, tenant: number, death: Death): Promise<void> {
  const intended = plainWords(REPLY);
  const other = await server.call({ to: numberOf(OTHER_TENANT) });
  const [{ phone, since }] = await Promise.all([inMidReply(server, tenant), greeted(other)]);
  const { clears } = phone.stats;
  phone.dtmf(DEATHS[death]);
  await heardMore(phone, since, intended.length);
  await phone.waitForReply(0);
  t.equal(phone.stats.clears, clears, "what the carrier had was played");
  const heard = wordsSince(phone, since);

  const goesOn = async (): Promise<void> => {
    await phone.say("The one upstairs.");
    await heardMore(phone, since, intended.length + 6);
  };
  const talksOn = async (): Promise<void> => {
    const spokenTo = await other.say("Is there parking?");
    await other.waitForReply(spokenTo.endedAtMs);
    t.match(other.heardText(spokenTo.endedAtMs), /parking/, "the other call has noticed nothing");
    other.hangUp();
    t.same(factsOf(await server.journal(other), "callResumed"), []);
  };
  await Promise.all([goesOn(), talksOn()]);

  const events = await closed(t, server, phone, [death === "crashes" ? "actorCrashed" : "shardLost"]);
  t.same(heard, intended, "every word of the reply is heard once");
  const turns = factsOf(events, "agentTurn").filter(({ turn }) => turn === 1);
  const written = turns.flatMap(({ pii }) => plainWords(pii.heard));
  t.same(withoutAsides(written), intended, "the journal holds what was heard, each word once");
  const { gapMs } = factsOf(events, "callResumed")[0]!;
  // Nor about that, when what was left of the reply's audio goes on.
  t.notOk(saidCutOff(written) && gapMs <= LONG_GAP_MS, "a word is said about a long gap alone");
  t.comment(`${death}: gap ${gapMs.toFixed(1)} ms, underruns ${phone.stats.underrunCount}`);
}
