/**
 * Durable truth, in Postgres.
 *
 * ```ts
 * const postgres = await startEmbeddedPostgres({ directory: ".lumentra/postgres" }); // or a server of your own
 * await migrate({ ownerUrl: postgres.ownerUrl, appUrl: postgres.appUrl, log });
 * const store = openStore({ url: postgres.appUrl, secretKeys, log });
 * const tenant = await store.transaction(scope, actor, (tx) => tx.tenants.get("dentist"));
 * ```
 */
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./embedded.js";
export { type MigrateOptions, migrate, pendingMigrations } from "./migrate.js";
export { type StoreOptions, openStore } from "./postgres-store.js";
export type * from "./store.js";
