/** Journal events and spools for tests; run as a process it writes to a spool until it is killed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv } from "node:process";
import type { Test } from "tap";
import { SystemClock, seededRandom } from "#runtime/actor";
import { createMetrics, silentLogger } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import { JournalSpool, type JournalSpoolOptions } from "./journal-spool.js";

/** `callStarted`, caller turns, and `callEnded` as the `last`. */
export function event(callId: string, sequence: number, last = false, epoch = 1): JournalEvent {
  const base = { callId, sequence, epoch, atMs: sequence, atUnixMs: 1_700_000_000_000 + sequence };
  if (sequence === 0) {
    const pii = { from: "+15550100001", to: "+12025550101" };
    const started = {
      kind: "callStarted",
      tenantId: "dentist",
      carrier: "twilio",
      nodeId: "node-1",
    } as const;
    return { ...base, ...started, carrierCallId: `CA-${callId}`, pii };
  }
  if (last) return { ...base, kind: "callEnded", outcome: { kind: "callerHungUp" }, durationMs: 5 };
  return {
    ...base,
    kind: "callerTurn",
    turn: sequence,
    throughAtMs: null,
    pii: { said: `words ${callId} ${sequence}` },
  };
}

export function spoolDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), "lumentra-spool-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function openSpool(
  directory: string,
  options: Partial<JournalSpoolOptions> = {},
): Promise<JournalSpool> {
  return JournalSpool.open({
    directory,
    maxBytes: 64 * 1024 * 1024,
    clock: new SystemClock(),
    log: silentLogger,
    metrics: createMetrics({ thread: "test" }),
    isLive: () => true,
    ...options,
  });
}

/** Everything in a spool, oldest first; settled as it is read. */
export async function readAll(spool: JournalSpool): Promise<JournalEvent[]> {
  const events: JournalEvent[] = [];
  for (;;) {
    const readable = new Promise<void>((resolve) => spool.onReadable(resolve));
    const read = spool.read(100);
    events.push(...read.map((spooled) => spooled.event));
    spool.settle(read);
    if (read.length > 0) continue;
    if (!spool.isLoading) return events;
    await readable;
  }
}

/** Appends events of many calls; prints how many of each are in the file, whenever they are. */
async function writeUntilKilled(directory: string, round: string): Promise<never> {
  const random = seededRandom(Number(round) + 1);
  const spool = await openSpool(directory, { segmentBytes: 8 * 1024 });
  const counts = new Map<string, number>();
  for (;;) {
    for (let burst = Math.floor(random.next() * 40); burst >= 0; burst--) {
      const callId = `call-${round}-${Math.floor(random.next() * 5)}`;
      const sequence = counts.get(callId) ?? 0;
      spool.append(event(callId, sequence));
      counts.set(callId, sequence + 1);
    }
    const told = JSON.stringify([...counts]);
    await spool.flushed();
    process.stdout.write(`${told}\n`);
  }
}

if (argv[1]?.endsWith("spool.fixture.js")) await writeUntilKilled(argv[2]!, argv[3]!);
