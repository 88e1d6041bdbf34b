/** A node whose calls and shards can be taken down from the keypad, and what tests of it ask of the phone. */
import type { Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import { DYING_SHARD_ENTRY } from "./deaths.fixture.js";
import { type TestNode, plainWords, startTestNode } from "./node.fixture.js";

export const REPLY = "We have a table by the window, one upstairs in the quiet room, and two on the terrace.";

/** Each test calls a tenant of its own: what one of them crashes is not held against the others. */
const TENANT_COUNT = 12;

export function numberOf(tenant: number): string {
  return `+1202555${String(300 + tenant).padStart(4, "0")}`;
}

export async function startDyingNode(t: Test, environment: Record<string, string> = {}): Promise<TestNode> {
  const tenants = Object.fromEntries(
    Array.from({ length: TENANT_COUNT }, (_, index) => [`tenant-${index}`, { numbers: [numberOf(index)] }]),
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

export function wordsSince(phone: PhoneCall, count: number): string[] {
  const words = phone.heard.slice(count).map(({ word }) => word);
  return plainWords(words.join(" "));
}

/** A machine that is busy may cost a word: counts, not words, say how far it is. */
export async function heardMore(phone: PhoneCall, since: number, wordCount: number): Promise<void> {
  await phone.waitForHeard(
    () => wordsSince(phone, since).length >= wordCount - phone.stats.underrunCount - phone.stats.brokenWords,
  );
}

/** The greeting was heard; how many words have been. */
export async function greeted(phone: PhoneCall): Promise<number> {
  await phone.waitForReply(0, undefined, 1_200);
  return phone.heard.length;
}
