/** What tests of resumed calls ask of a phone and of a journal. */
import type { Test } from "tap";
import type { PhoneCall } from "#bench/caller";
import type { JournalEvent } from "#actors/journal";
import { factsOf } from "./node.fixture.js";

/** Until the agent has said this much of its answer. */
export async function midReply(call: PhoneCall, sinceMs: number): Promise<void> {
  await call.waitForAgentSpeech(sinceMs, 900);
}

export function isOneJournal(t: Test, journal: readonly JournalEvent[]): void {
  t.same(
    journal.map(({ sequence }) => sequence),
    journal.map((_, index) => index),
    "whole, in order, each once",
  );
  const epochs = journal.map(({ epoch }) => epoch);
  t.same(
    epochs,
    epochs.toSorted((a, b) => a - b),
    "epochs only grow",
  );
  t.equal(factsOf(journal, "callEnded").length, 1);
}

export async function resumed(call: PhoneCall): Promise<void> {
  await call.waitUntil("the second media stream", 20_000, () => call.stats.streamCount >= 2);
}
