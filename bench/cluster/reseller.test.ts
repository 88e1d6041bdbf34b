import t from "tap";
import type { Call__Output, JournalEvent__Output } from "#proto";
import { placeCall } from "#bench/caller";
import { fromServiceError } from "#runtime/rpc";
import { startEmulators } from "#bench/emulators";
import { plainTenant, startCluster } from "./cluster.js";

const NUMBER = "+12025550160";
const SCOPES = [
  "tenants.read",
  "tenants.write",
  "numbers.read",
  "numbers.write",
  "calls.read",
  "calls.operate",
  "usage.read",
  "audit.read",
];

void t.test("a reseller's life, by the API alone", { timeout: 90_000 }, async (t) => {
  const emulators = await startEmulators({ seed: 3, ttsRealtimeFactor: 50 });
  t.teardown(() => emulators.close());
  const cluster = await startCluster({ nodes: 1, providers: emulators.env() });
  t.teardown(() => cluster.stop());
  const { operator, balancer } = cluster;
  const keyOf = async (id: string): Promise<string> => {
    await operator.call("ResellerService", "CreateReseller", { reseller: { id, name: id } });
    const made = await operator.call("ResellerService", "CreateApiKey", {
      resellerId: id,
      name: "first",
      scopes: SCOPES,
    });
    t.match(made.secret, /^lk_\w{8}_[\w-]{43}$/);
    return made.secret;
  };
  const acme = cluster.client(await keyOf("acme"));
  const rival = cluster.client(await keyOf("rival"));

  // A tenant, a number.
  const { tenant } = await acme.call("TenantService", "CreateTenant", {
    tenant: { id: "acme-dental", config: plainTenant("Acme Dental") },
  });
  t.equal(tenant!.resellerId, "acme", "the key says whose tenant it is");
  await acme.call("PhoneNumberService", "CreatePhoneNumber", {
    phoneNumber: { number: NUMBER, tenantId: "acme-dental" },
  });

  // Somebody calls; the reseller watches it live.
  const watched: Call__Output[] = [];
  const calls = acme.watch("CallService", "WatchCalls", { tenantId: "acme-dental" });
  calls.on("error", () => {});
  calls.on("data", ({ call }: { call: Call__Output | null }) => call && watched.push(call));
  const rivals: unknown[] = [];
  const others = rival.watch("CallService", "WatchCalls", {});
  others.on("error", () => {});
  others.on("data", ({ call }: { call: Call__Output | null }) => call && rivals.push(call));

  const phone = await callWhenKnown(balancer.url);
  await phone.waitForReply(0);
  await phone.waitUntil("the call on the watch", 10_000, () => watched.length > 0);
  const { id: callId } = watched[0]!;
  const events: JournalEvent__Output[] = [];
  const journal = acme.watch("CallService", "WatchCall", { callId });
  const journalEnded = new Promise<void>((resolve, reject) => {
    journal.on("end", resolve);
    journal.on("error", (error) => reject(fromServiceError(error)));
  });
  journal.on("data", ({ event }: { event: JournalEvent__Output }) => events.push(event));
  const said = await phone.say("Is there parking?");
  await phone.waitForHeard(() => /parking/i.test(phone.heardText(said.endedAtMs)));
  await phone.waitForSilence(800);
  phone.hangUp();
  await phone.ended;
  await journalEnded;
  t.same(
    events.map(({ sequence }) => sequence),
    events.map((_, index) => index),
    "each event once, in order, to the last",
  );
  t.equal(events.at(-1)?.fact, "callEnded");

  // What was said, what it cost.
  const { turns } = await acme.call("CallService", "GetTranscript", { callId });
  t.match(
    turns.map(({ speaker, pii }) => `${speaker} ${pii?.text}`),
    [/^SPEAKER_AGENT Hello/, /^SPEAKER_CALLER is there parking/i, /^SPEAKER_AGENT .*parking/i],
  );
  const found = await acme.call("CallService", "ListCalls", { query: "parking" });
  t.same(
    found.calls.map(({ id }) => id),
    [callId],
    "found by what was said",
  );
  const usage = await acme.call("UsageService", "QueryUsage", {});
  t.match(usage.rows, [{ tenantId: "acme-dental", calls: 1 }]);
  t.ok(usage.rows[0]!.callSeconds > 0 && usage.rows[0]!.costMicros > 0, "minutes and cost are counted");
  const audit = await acme.call("AuditService", "ListAuditEntries", { tenantId: "acme-dental" });
  t.match(audit.entries.at(-1), { action: "create", resourceKind: "tenant", actor: /^key:/ });

  // Suspended, its callers get the overflow.
  await acme.call("TenantService", "UpdateTenant", {
    tenant: { id: "acme-dental", suspended: true },
    updateMask: { paths: ["suspended"] },
  });
  await until(async () => {
    const refused = await placeCall({ nodeUrl: balancer.url, to: NUMBER });
    if (refused.outcome === null) refused.hangUp();
    return (await refused.ended).outcome.kind === "rejected";
  });

  // Nobody else saw any of it.
  t.same(rivals, []);
  for (const [service, method, request] of [
    ["TenantService", "GetTenant", { tenantId: "acme-dental" }],
    ["PhoneNumberService", "GetPhoneNumber", { number: NUMBER }],
    ["CallService", "GetCall", { callId }],
    ["CallService", "GetTranscript", { callId }],
  ] as const) {
    await t.rejects(
      rival.call(service as "CallService", method as "GetCall", request as { callId: string }),
      { code: "NOT_FOUND" },
      `${method}: another reseller finds nothing`,
    );
  }
  t.same((await rival.call("TenantService", "ListTenants", {})).tenants, []);
  t.same((await rival.call("CallService", "ListCalls", {})).calls, []);
  t.same((await rival.call("UsageService", "QueryUsage", {})).rows, []);
  await t.rejects(
    rival.call("PhoneNumberService", "CreatePhoneNumber", {
      phoneNumber: { number: NUMBER, tenantId: "acme-dental" },
    }),
    "neither the number nor the tenant is theirs to use",
  );
  calls.cancel();
  others.cancel();
});

/** The node learns of a new number within moments. */
async function callWhenKnown(nodeUrl: string): ReturnType<typeof placeCall> {
  for (;;) {
    const call = await placeCall({ nodeUrl, to: NUMBER });
    if (call.outcome === null) return call;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50));
}
