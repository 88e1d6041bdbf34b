/**
 * A whole node for tests at the wire: real edge, shards and provider clients, the emulators and a phone.
 * Everything is gone when the test is over.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { JournalEvent } from "#actors/journal";
import { type PhoneCall, type PlaceCallOptions, placeCall } from "#bench/caller";
import { type EmulatorOptions, type Emulators, startEmulators } from "#bench/emulators";
import { phrasesFor } from "#actors/speech";
import { type RunningNode, resolveSettings, startNode } from "#node";

export const DENTIST = "+12025550101";
export const RESTAURANT = "+12025550102";

export interface TestNodeOptions {
  readonly emulators?: EmulatorOptions;
  readonly environment?: Readonly<Record<string, string>>;
  readonly shardEntry?: URL;
  /** Changes the demo tenants, by id; another id is one more tenant, like the first but for what is given. */
  readonly tenants?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface TestNode {
  readonly node: RunningNode;
  readonly emulators: Emulators;
  readonly nodeUrl: string;
  readonly adminUrl: string;
  readonly dataDirectory: string;
  readonly call: (options?: Partial<PlaceCallOptions>) => Promise<PhoneCall>;
  /** The call's journal, once it is closed. */
  readonly journal: (call: PhoneCall) => Promise<JournalEvent[]>;
  readonly admin: (path: string) => Promise<{ readonly status: number; readonly text: string }>;
  /**
   * The longest that a thread of the node stood still since this was last asked, by its own measure. The
   * phones and the emulators run on the node's main thread here.
   */
  readonly stoodStillMs: () => Promise<number>;
}

type JournalFactOf<K extends JournalEvent["kind"]> = Extract<JournalEvent, { readonly kind: K }>;

export function factsOf<K extends JournalEvent["kind"]>(
  journal: readonly JournalEvent[],
  kind: K,
): JournalFactOf<K>[] {
  return journal.filter((event): event is JournalFactOf<K> => event.kind === kind);
}

export async function startTestNode(t: Test, options: TestNodeOptions = {}): Promise<TestNode> {
  const directory = mkdtempSync(join(tmpdir(), "lumentra-node-"));
  const tenantsFile = join(directory, "tenants.json");
  writeFileSync(tenantsFile, JSON.stringify(withChanges(options.tenants ?? {})));
  const emulators = await startEmulators({ seed: 7, ttsRealtimeFactor: 200, ...options.emulators });
  const node = await startNode(
    resolveSettings({
      ...emulators.env(),
      LUMENTRA_EDGE_PORT: "0",
      LUMENTRA_EDGE_HOST: "127.0.0.1",
      LUMENTRA_ADMIN_PORT: "0",
      LUMENTRA_SHARDS: "1",
      // One more thread per node costs a second of a core: for those that lose a shard.
      LUMENTRA_SPARE_SHARD: "false",
      LUMENTRA_TENANTS_FILE: tenantsFile,
      LUMENTRA_DATA_DIR: directory,
      LUMENTRA_LOG_LEVEL: "silent",
      // A machine busy with other tests is no matter of these.
      LUMENTRA_PRESSURE_PACING_LAG_MS: "off",
      LUMENTRA_PRESSURE_EVENT_LOOP_DELAY_MS: "off",
      ...options.environment,
    }),
    options.shardEntry,
  );
  t.teardown(async () => {
    await node.close();
    await emulators.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const nodeUrl = `http://127.0.0.1:${node.edgePort}`;
  const adminUrl = `http://127.0.0.1:${node.adminPort}`;
  const admin = async (path: string) => {
    const response = await fetch(`${adminUrl}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return {
    node,
    emulators,
    nodeUrl,
    adminUrl,
    dataDirectory: directory,
    admin,
    call: (callOptions) => placeCall({ nodeUrl, to: DENTIST, ...callOptions }),
    async stoodStillMs() {
      const { text } = await admin("/metrics");
      return longestStandstillMs(text);
    },
    async journal(call) {
      for (let attempt = 0; attempt < JOURNAL_ATTEMPTS; attempt += 1) {
        const { status, text } = await admin(`/calls/${call.callSid}/journal`);
        const journal = status === 200 ? (JSON.parse(text) as { journal: JournalEvent[] }).journal : [];
        if (journal.at(-1)?.kind === "callEnded") return journal;
        await new Promise((resolve) => setTimeout(resolve, JOURNAL_RETRY_MS));
      }
      throw new Error(`the journal of ${call.callSid} was not closed`);
    },
  };
}

/** Of a page of metrics: the longest that a thread of the node stood still since the page before. */
function longestStandstillMs(metrics: string): number {
  const delays = [...metrics.matchAll(/^lumentra_event_loop_delay_ms\{[^}]*quantile="max"[^}]*\} (\S+)$/gm)];
  // A main thread and a shard: fewer means that they are no longer told.
  assert(delays.length >= 2, "every thread tells its event loop's delay");
  return Math.max(...delays.map(([, value]) => Number(value)));
}

/** What a ring holds: 128 frames of 20 ms, less a few that are under way. */
const RING_MS = 2_400;

/**
 * No ring lost a record, or threads stood still for longer than it holds: a phone whose thread got no processor sends
 * all that it should have sent at once, and nobody else fills a ring. How long they did, at the most.
 */
export function expectNoDrops(t: Test, metrics: string, phonesLoop: { readonly max: number }): number {
  const found = metrics.matchAll(/^lumentra_ring_drops_total\{[^}]*\} (\d+)$/gm);
  const drops = [...found].map(([, count]) => Number(count));
  t.equal(drops.length, 2, "in and out are counted");
  const stoodStillMs = longestStandstillMs(metrics) + phonesLoop.max / 1e6;
  t.ok(Math.max(...drops) === 0 || stoodStillMs > RING_MS, "no record was dropped", { drops, stoodStillMs });
  return stoodStillMs;
}

/** The shard's last events reach the main thread a tick or two after the leg is gone. */
const JOURNAL_RETRY_MS = 20;
const JOURNAL_ATTEMPTS = 250;

function withChanges(changes: NonNullable<TestNodeOptions["tenants"]>): unknown {
  const file = JSON.parse(readFileSync("config/tenants.json", "utf8")) as { tenants: { id: string }[] };
  const [first] = file.tenants;
  const added = Object.keys(changes).filter((id) => file.tenants.every((tenant) => tenant.id !== id));
  const tenants = [...file.tenants, ...added.map((id) => ({ ...first, id }))];
  return { tenants: tenants.map((tenant) => ({ ...tenant, ...changes[tenant.id] })) };
}

const { cutOff, fillers, silencePrompts } = phrasesFor("en");
const ASIDES = [cutOff, ...fillers, ...silencePrompts].map(plainWords);

/**
 * Of these words those that the agent does not say of itself where a line was gone, a model is slow or a caller silent:
 * a machine that stands still makes it say so. At the end it may be saying so: "sorry" is enough, as nobody else says it.
 */
export function withoutAsides(words: readonly string[]): readonly string[] {
  for (const aside of ASIDES) {
    const isAt = (start: number): boolean =>
      aside.every((word, index) => {
        const said = words[start + index];
        return said === word || (said === undefined && aside[0] === "sorry");
      });
    const start = words.findIndex((_word, index) => isAt(index));
    if (start >= 0) return withoutAsides([...words.slice(0, start), ...words.slice(start + aside.length)]);
  }
  return words;
}

/** Whether the agent said that there was a gap. */
export function saidCutOff(words: readonly string[]): boolean {
  return words.join(" ").includes(plainWords(cutOff).join(" "));
}

/** For comparing what was heard with what was written: letters and digits only. */
export function plainWords(text: string): string[] {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}']+/gu, " ")
    .trim()
    .split(" ")
    .filter(Boolean);
}

/** All that was said was heard: on a slow machine there is progress before that, and words that are on their way are lost. */
export function isProgressTo(lastWords: string): (event: JournalEvent) => boolean {
  return (event) =>
    event.kind === "callerProgress" && plainWords(event.pii.said).join(" ").endsWith(lastWords);
}

/** Resolves when the call's journal has such an event. */
export async function written(
  { admin }: Pick<TestNode, "admin">,
  phone: PhoneCall,
  isIt: (event: JournalEvent) => boolean,
): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const { status, text } = await admin(`/calls/${phone.callSid}/journal`);
    const events = status === 200 ? (JSON.parse(text) as { journal: JournalEvent[] }).journal : [];
    if (events.some(isIt)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it was not written");
}
