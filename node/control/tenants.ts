/**
 * Tenants as the control plane tells them: the state once, then each change. Kept in memory, and on disk for a start
 * while no control plane answers.
 *
 * Invariants
 * N1 a change is in force before its resume token is kept: what is told twice is the same again, nothing is missed.
 * N2 the disk has a whole version or the one before (written beside and renamed); one that is damaged or of another
 *    form is as good as none.
 * N3 a tenant that cannot be read is left as it was; the others are not held up.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ClientReadableStream } from "@grpc/grpc-js";
import writeFileAtomic from "write-file-atomic";
import type { WatchTenantsResponse__Output } from "#proto";
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { RpcClient } from "#runtime/rpc";
import type { Logger, Metrics } from "#runtime/telemetry";
import {
  type TenantConfig,
  type TenantDirectory,
  type TenantSnapshot,
  tenantFromProto,
  tenantSchema,
} from "#actors/tenants";
import { asLumentraError } from "./as-lumentra-error.js";
import { type Backoff, nextBackoffMs } from "./backoff.js";

/** Of the file; another one is not read. */
const FORMAT_VERSION = 1;
/** A burst of changes is written once. */
const WRITE_DELAY_MS = 500;
const BACKOFF: Backoff = { firstMs: 200, maxMs: 5_000 };

export interface ControlTenantsDeps {
  /** The cache file; its folder is made when missing. */
  readonly path: string;
  readonly rpc: RpcClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
}

type TenantStream = ClientReadableStream<WatchTenantsResponse__Output>;

export class ControlTenants implements TenantDirectory {
  readonly #deps: ControlTenantsDeps;
  #byId = new Map<string, TenantSnapshot>();
  #byNumber = new Map<string, TenantSnapshot>();
  #tenants: readonly TenantConfig[] = [];
  readonly #listeners = new Set<(tenants: readonly TenantConfig[]) => void>();
  #resumeToken = "";
  /** Ids told since the stream began, until its first `synced`; null after it, and where a resume token was given. */
  #told: Set<string> | null = null;
  #synced!: () => void;
  readonly #whenSynced = new Promise<void>((resolve) => {
    this.#synced = resolve;
  });
  #isKnown = false;
  #stream: TenantStream | null = null;
  #attempt = 0;
  #retry: TimerHandle | null = null;
  #write: TimerHandle | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(deps: ControlTenantsDeps) {
    this.#deps = deps;
    deps.metrics.onCollect(() => deps.metrics.tenants.set(this.#byId.size));
  }

  // ---- who is who

  /** By the cache, or by a control plane since. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  get tenants(): readonly TenantConfig[] {
    return this.#tenants;
  }

  byNumber(number: string): TenantConfig | undefined {
    return this.#byNumber.get(number)?.config;
  }

  byId(id: string): TenantConfig | undefined {
    return this.#byId.get(id)?.config;
  }

  isSuspended(tenantId: string): boolean {
    return this.#byId.get(tenantId)?.suspended ?? false;
  }

  onChange(listener: (tenants: readonly TenantConfig[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // ---- life

  /** What the last process knew. False: there is nothing to be had. Never rejects. */
  async loadCache(): Promise<boolean> {
    try {
      const { token, tenants } = parseCache(await readFile(this.#deps.path, "utf8"));
      this.#byId = new Map(tenants.map((tenant) => [tenant.config.id, tenant]));
      this.#resumeToken = token;
      this.#isKnown = true;
      this.#changed();
      this.#deps.log.info({ tenantCount: tenants.length }, "tenants as they were before this start");
      return true;
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (!isMissing) this.#deps.log.error({ err: error }, "the tenants' cache cannot be read");
      return false;
    }
  }

  /** Connects, again and again. */
  watch(): void {
    if (this.#isClosed || this.#stream !== null) return;
    const { rpc } = this.#deps;
    this.#retry?.cancel();
    this.#retry = null;
    this.#told = this.#resumeToken === "" ? new Set() : null;
    const stream = rpc.watch("TenantService", "WatchTenants", { resumeToken: this.#resumeToken });
    this.#stream = stream;
    stream.on("data", (message: WatchTenantsResponse__Output) => {
      if (this.#stream === stream) this.#heard(message);
    });
    stream.on("error", (error) => this.#ended(stream, asLumentraError(error)));
    stream.on("end", () => this.#ended(stream, null));
  }

  /** The state was told at least once since the start, or the time is up; says which. */
  async synced(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#deps;
    return await new Promise<boolean>((resolve) => {
      const timer = clock.setTimer(timeoutMs, () => resolve(false));
      void this.#whenSynced.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#stream?.cancel();
    this.#stream = null;
    this.#listeners.clear();
    if (this.#write !== null) {
      this.#write.cancel();
      this.#saveNow();
    }
  }

  /** What `close` still had to write is on disk. */
  saved(): Promise<void> {
    return this.#writing;
  }

  // ---- the stream

  #heard(message: WatchTenantsResponse__Output): void {
    const { log } = this.#deps;
    if (message.changed) {
      const { id } = message.changed;
      this.#told?.add(id);
      try {
        this.#byId.set(id, tenantFromProto(message.changed));
      } catch (error) {
        log.error({ err: error, tenantId: id }, "a tenant cannot be read; it stays as it was"); // N3
      }
    } else if (message.deleted !== undefined && message.event === "deleted") {
      this.#byId.delete(message.deleted);
    } else if (message.synced) {
      if (this.#told !== null) {
        for (const id of this.#byId.keys()) if (!this.#told.has(id)) this.#byId.delete(id);
      }
      this.#told = null;
      this.#attempt = 0;
      log.info({ tenantCount: this.#byId.size }, "tenants are as the control plane has them");
    }
    // While the state is told for the first time, nobody sees half of it.
    if (this.#told !== null) return;
    this.#changed();
    if (message.resumeToken !== "") this.#resumeToken = message.resumeToken; // N1
    if (message.synced) {
      this.#isKnown = true;
      this.#synced();
    }
    this.#saveSoon();
  }

  #ended(stream: TenantStream, error: LumentraError | null): void {
    if (this.#stream !== stream) return;
    const { clock, random, log } = this.#deps;
    this.#stream = null;
    if (error?.code === "PAGE_TOKEN_INVALID") this.#resumeToken = ""; // too old: everything, then
    if (this.#attempt === 0) log.warn({ err: error }, "tenants are not watched; they stay as they are");
    this.#retry = clock.setTimer(nextBackoffMs(BACKOFF, this.#attempt++, random), () => this.watch());
  }

  #changed(): void {
    const snapshots = [...this.#byId.values()];
    this.#tenants = snapshots.map(({ config }) => config);
    this.#byNumber = new Map(
      snapshots.flatMap((snapshot) => snapshot.config.numbers.map((number) => [number, snapshot] as const)),
    );
    for (const listener of this.#listeners) listener(this.#tenants);
  }

  // ---- the disk

  #saveSoon(): void {
    this.#write ??= this.#deps.clock.setTimer(WRITE_DELAY_MS, () => this.#saveNow());
  }

  /** N2 */
  #saveNow(): void {
    this.#write = null;
    const { path, log } = this.#deps;
    const text = renderCache(this.#resumeToken, [...this.#byId.values()]);
    this.#writing = this.#writing
      .then(async () => {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await writeFileAtomic(path, text, { mode: 0o600 });
      })
      .catch((error: unknown) => log.error({ err: error }, "the tenants' cache cannot be written"));
  }
}

function renderCache(token: string, tenants: readonly TenantSnapshot[]): string {
  const body = JSON.stringify({ token, tenants });
  return `${JSON.stringify({ format: FORMAT_VERSION, sha256: sha256(body) })}\n${body}\n`;
}

/** @throws LumentraError TENANT_CONFIG_INVALID */
function parseCache(text: string): { readonly token: string; readonly tenants: readonly TenantSnapshot[] } {
  const [head = "", body = ""] = text.split("\n");
  const { format, sha256: expected } = parsed(head) as { format?: unknown; sha256?: unknown };
  if (format !== FORMAT_VERSION) throw damaged(`is of format ${String(format)}`);
  if (sha256(body) !== expected) throw damaged("is damaged");
  const { token, tenants } = parsed(body) as { token: string; tenants: TenantSnapshot[] };
  return {
    token,
    tenants: tenants.map((tenant) => ({ ...tenant, config: tenantSchema.parse(tenant.config) })),
  };
}

function parsed(json: string): object {
  try {
    return JSON.parse(json) as object;
  } catch {
    throw damaged("is not JSON");
  }
}

function damaged(how: string): LumentraError {
  return new LumentraError("TENANT_CONFIG_INVALID", `the tenants' cache ${how}`);
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
