/** Caps of tenants on a real Postgres, which is made to hang by a lock on the table. */
import { Client } from "pg";
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { silentLogger } from "#runtime/telemetry";
import { configOf, openStores, seed, until } from "./planes.fixture.js";
import { MAX_AGE_MS, TenantFactsCache } from "./tenant-facts.js";

const stores = await openStores(t);

/** Nobody reads the table until it is given back. */
async function lock(table: string): Promise<() => Promise<void>> {
  const owner = new Client({ connectionString: stores.ownerUrl });
  await owner.connect();
  await owner.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  return async () => {
    await owner.query("ROLLBACK");
    await owner.end();
  };
}

void t.test(
  "caps and suspension are known, read once, and forgotten with a change or with time",
  async (t) => {
    const store = await stores.fresh();
    await seed(store, { tenant: 3, reseller: 30 });
    const clock = new VirtualClock();
    const tenants = new TenantFactsCache({ store, clock, log: silentLogger });
    tenants.start();
    t.teardown(() => tenants.close());
    t.same(await tenants.get("dentist"), {
      resellerId: "acme",
      suspended: false,
      tenantCap: 3,
      resellerCap: 30,
    });
    t.equal(await tenants.get("nobody"), null);
    await store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
      await tx.tenants.update("dentist", (await tx.tenants.get("dentist"))!.etag, { config: configOf(4) });
    });
    await until("the change to be heard", async () => (await tenants.get("dentist"))?.tenantCap === 4);
    await store.transaction({ kind: "operator" }, "operator:test", async (tx) => {
      const reseller = (await tx.resellers.get("acme"))!;
      await tx.resellers.update("acme", reseller.etag, {
        limits: { ...reseller.limits, concurrentCalls: 40 },
      });
    });
    clock.advance(MAX_AGE_MS);
    t.equal((await tenants.get("dentist"))?.resellerCap, 40);
  },
);

void t.test("while Postgres hangs, what was known is good, and is not waited for twice", async (t) => {
  const store = await stores.fresh();
  await seed(store, { tenant: 3 });
  const clock = new VirtualClock();
  const tenants = new TenantFactsCache({ store, clock, log: silentLogger });
  t.equal((await tenants.get("dentist"))?.tenantCap, 3);
  const unlock = await lock("lumentra.tenants");
  clock.advance(MAX_AGE_MS);
  const waiting = tenants.get("dentist");
  clock.advance(200);
  t.equal((await waiting)?.tenantCap, 3, "after a moment");
  t.equal((await tenants.get("dentist"))?.tenantCap, 3, "at once");
  t.equal(await tenants.resellerOf("dentist"), "acme");
  t.equal(await tenants.resellerOf("plumber"), null, "nothing is known of it");
  await unlock();
  clock.advance(1_000);
  t.equal(await tenants.resellerOf("plumber"), "acme");
});
