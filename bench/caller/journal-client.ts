/** Reads a call's journal from a node's admin port. */
import { setTimeout as sleep } from "node:timers/promises";
import type { JournalEvent } from "#actors/journal";
import { LumentraError } from "#runtime/errors";

/** How long after the hang-up a journal may take to be closed: the actor settles in milliseconds. */
const JOURNAL_CLOSE_TIMEOUT_MS = 3_000;
const POLL_MS = 100;
const REQUEST_TIMEOUT_MS = 2_000;

/** The journal so far; empty when the node does not know the call (yet). */
async function fetchJournal(adminUrl: string, callSid: string): Promise<readonly JournalEvent[]> {
  const url = new URL(`/calls/${encodeURIComponent(callSid)}/journal`, adminUrl);
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  } catch (cause) {
    throw new LumentraError(
      "CALLER_NODE_UNREACHABLE",
      `No admin port at ${new URL(adminUrl).origin}: say where it is with --admin-url`,
      { cause },
    );
  }
  if (response.status === 404) {
    await response.body?.cancel();
    return [];
  }
  if (!response.ok) throw new Error(`GET ${url.pathname} was answered with ${response.status}`);
  const { journal } = (await response.json()) as { journal: readonly JournalEvent[] };
  return journal;
}

/** The whole journal: waits, bounded, until its last event is `callEnded`. */
export async function fetchClosedJournal(
  adminUrl: string,
  callSid: string,
): Promise<readonly JournalEvent[]> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const journal = await fetchJournal(adminUrl, callSid);
    if (journal.at(-1)?.kind === "callEnded" || waitedMs >= JOURNAL_CLOSE_TIMEOUT_MS) return journal;
    await sleep(POLL_MS);
  }
}

/** Hands on each event as it appears, until stopped; a poll that fails is tried again. */
export function followJournal(
  adminUrl: string,
  callSid: string,
  onEvent: (event: JournalEvent) => void,
): { stop(): Promise<void> } {
  const stop = new AbortController();
  let seen = 0;
  const poll = async (): Promise<void> => {
    const journal = await fetchJournal(adminUrl, callSid).catch(() => []);
    for (const event of journal.slice(seen)) onEvent(event);
    seen = Math.max(seen, journal.length);
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      await poll();
      await sleep(POLL_MS);
    }
    await poll(); // what happened since the last look
  })();
  return {
    stop: () => {
      stop.abort();
      return running;
    },
  };
}
