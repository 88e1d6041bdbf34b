/** A Postgres of its own for a test file, migrated, and a store on it; gone when the test is over. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "#runtime/telemetry";
import { type Store, migrate, openStore, startEmbeddedPostgres } from "./index.js";

export interface TestStore {
  readonly store: Store;
  readonly ownerUrl: string;
  readonly appUrl: string;
  readonly secretKeys: string;
  /** Postgres down and up again. */
  restart(): Promise<void>;
}

export async function startTestStore(t: {
  teardown(callback: () => void | Promise<void>): void;
}): Promise<TestStore> {
  const directory = await mkdtemp(join(tmpdir(), "lumentra-store-"));
  const postgres = await startEmbeddedPostgres({ directory, durable: false });
  const { ownerUrl, appUrl } = postgres;
  await migrate({ ownerUrl, appUrl, log: silentLogger });
  const secretKeys = `k1:${randomBytes(32).toString("base64")}`;
  const store = openStore({ url: appUrl, secretKeys, log: silentLogger });
  t.teardown(async () => {
    await store.close();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return { store, ownerUrl, appUrl, secretKeys, restart: () => postgres.restart() };
}
