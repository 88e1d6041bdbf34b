/** What tests of a whole deployment share: a cluster with a tenant, callers, and what the store says afterwards. */
import type { Test } from "tap";
import type { JournalEvent } from "#actors/journal";
import type { PhoneCall } from "#bench/caller";
import { type Cluster, plainTenant } from "./cluster.js";

export const NUMBER = "+12025550150";
const TENANT = "acme-dental";
const RESELLER = "acme";

/** Of a test that fails, the processes' last words are told. */
export function stopAfter(t: Test, cluster: Cluster): void {
  t.teardown(async () => {
    if (!t.passing()) for (const log of cluster.logs()) t.comment(log);
    await cluster.stop();
  });
}

/** Before the nodes start, so that no call can come before they know it. */
export async function makeTenant(operator: Cluster["operator"]): Promise<void> {
  await operator.call("ResellerService", "CreateReseller", { reseller: { id: RESELLER, name: "Acme" } });
  await operator.call("TenantService", "CreateTenant", {
    tenant: { id: TENANT, resellerId: RESELLER, config: plainTenant("Acme Dental") },
  });
  await operator.call("PhoneNumberService", "CreatePhoneNumber", {
    phoneNumber: { number: NUMBER, tenantId: TENANT },
  });
}

/** The store's journal of a phone's call, once it is closed. */
export async function closedJournal(cluster: Cluster, call: PhoneCall): Promise<readonly JournalEvent[]> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const journal = await cluster.store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
      const { rows } = await tx.calls.list({ tenantId: TENANT }, { size: 500, after: null });
      const row = rows.find(({ carrierCallId }) => carrierCallId === call.callSid);
      return row === undefined ? [] : ((await tx.calls.journal(row.id, 0, 1_000)) ?? []);
    });
    if (journal.at(-1)?.kind === "callEnded") return journal;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  throw new Error(`the journal of ${call.callSid} was not closed`);
}

const RETRY_MS = 100;
const ATTEMPTS = 200;

/** J1 and J2 over all owners a call had; the number of owners after the first. */
export function checkJournal(t: Test, journal: readonly JournalEvent[], name: string): number {
  t.same(
    journal.map(({ sequence }) => sequence),
    journal.map((_, index) => index),
    `${name}: every event once, in order`,
  );
  const epochs = journal.map(({ epoch }) => epoch);
  t.same(
    epochs,
    epochs.toSorted((a, b) => a - b),
    `${name}: no old owner wrote after a new one`,
  );
  t.equal(journal[0]?.kind, "callStarted", `${name}: begins with its start`);
  t.equal(journal.filter(({ kind }) => kind === "callEnded").length, 1, `${name}: ends once`);
  return journal.filter(({ kind }) => kind === "callResumed").length;
}
