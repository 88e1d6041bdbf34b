/**
 * Tenants from a JSON file: validated on load, reloaded when the file changes. A version that does not
 * pass its checks is reported and ignored; the last good one stays in force. Live calls keep the
 * configuration they began with.
 */
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { z } from "zod";
import { LumentraError } from "#runtime/errors";
import type { Clock, TimerHandle } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { TenantDirectory } from "./directory.js";
import { type TenantConfig, tenantsFileSchema } from "./tenant.js";

/** Editors write a file in several steps; one reload after they are done. */
const RELOAD_DELAY_MS = 100;

type WatchFolder = (folder: string, onEvent: (event: string, name: string | null) => void) => FSWatcher;

export interface FileTenantOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Throws when the tenants, each fine by itself, cannot be served here. @default nothing is in the way */
  readonly check?: (tenants: readonly TenantConfig[]) => void;
  /** Another one only in tests of watches that fail. @default Node's own */
  readonly watchFolder?: WatchFolder;
}

/**
 * @throws LumentraError TENANT_CONFIG_INVALID: unreadable, not JSON, or against the schema; the message
 * names the place in the file.
 */
export function parseTenantsFile(path: string): readonly TenantConfig[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new LumentraError("TENANT_CONFIG_INVALID", `${path}: ${(cause as Error).message}`, { cause });
  }
  const result = tenantsFileSchema.safeParse(json);
  if (!result.success) {
    throw new LumentraError("TENANT_CONFIG_INVALID", `${path}: ${z.prettifyError(result.error)}`);
  }
  return result.data.tenants;
}

export class FileTenantDirectory implements TenantDirectory {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #check: NonNullable<FileTenantOptions["check"]>;
  /** Null when the system grants no watch. */
  readonly #watcher: FSWatcher | null;
  readonly #listeners = new Set<(tenants: readonly TenantConfig[]) => void>();
  #tenants: readonly TenantConfig[] = [];
  #byId = new Map<string, TenantConfig>();
  #byNumber = new Map<string, TenantConfig>();
  #reload: TimerHandle | null = null;

  /** @throws LumentraError TENANT_CONFIG_INVALID when the first load fails, and what `check` throws. */
  constructor({ path, clock, log, check = () => {}, watchFolder = watch }: FileTenantOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
    this.#check = check;
    this.#install(this.#load());
    this.#watcher = this.#watch(watchFolder);
  }

  get tenants(): readonly TenantConfig[] {
    return this.#tenants;
  }

  byNumber(number: string): TenantConfig | undefined {
    return this.#byNumber.get(number);
  }

  byId(id: string): TenantConfig | undefined {
    return this.#byId.get(id);
  }

  onChange(listener: (tenants: readonly TenantConfig[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the file again now; false when it was refused and the old version stays. */
  reload(): boolean {
    let tenants: readonly TenantConfig[];
    try {
      tenants = this.#load();
    } catch (error) {
      this.#log.error({ err: error, path: this.#path }, "tenants file refused; the last good version stays");
      return false;
    }
    this.#install(tenants);
    this.#log.info({ path: this.#path, tenantCount: tenants.length }, "tenants reloaded");
    for (const listener of this.#listeners) listener(tenants);
    return true;
  }

  close(): void {
    this.#reload?.cancel();
    this.#watcher?.close();
    this.#listeners.clear();
  }

  #load(): readonly TenantConfig[] {
    const tenants = parseTenantsFile(this.#path);
    this.#check(tenants);
    return tenants;
  }

  /** A file that is not watched serves as well as one that nobody changes: it is said, and the calls go on. */
  #watch(watchFolder: WatchFolder): FSWatcher | null {
    const onError = (error: unknown): void =>
      this.#log.error(
        { err: error, path: this.#path },
        "the tenants file is not watched: changes need a restart",
      );
    try {
      // The folder, not the file: editors replace the file, and a watch on the old one would go silent.
      const watcher = watchFolder(dirname(this.#path), (_event, name) => {
        if (name !== basename(this.#path)) return;
        this.#reload?.cancel();
        this.#reload = this.#clock.setTimer(RELOAD_DELAY_MS, () => this.reload());
      });
      return watcher.on("error", onError); // without a listener it would end the process
    } catch (error) {
      onError(error); // the system is out of watches
      return null;
    }
  }

  #install(tenants: readonly TenantConfig[]): void {
    this.#tenants = tenants;
    this.#byId = new Map(tenants.map((tenant) => [tenant.id, tenant]));
    this.#byNumber = new Map(tenants.flatMap((tenant) => tenant.numbers.map((number) => [number, tenant])));
  }
}
