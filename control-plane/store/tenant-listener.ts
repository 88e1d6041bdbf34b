/** LISTEN on a connection of its own, made again when it breaks; what was missed meanwhile is told by one call. */
import { Client, type ClientConfig } from "pg";
import type { Logger } from "#runtime/telemetry";
import { closedInTime } from "./pool.js";

const CHANNEL = "lumentra_tenants";
const FIRST_RETRY_MS = 100;
const RETRY_MAX_MS = 5_000;

export class TenantListener {
  readonly #options: ClientConfig;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  #client: Client | null = null;
  #retryMs = FIRST_RETRY_MS;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: ClientConfig, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** The connection is made with the first listener. */
  add(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#client === null && this.#timer === null) void this.#connect();
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#client !== null) await closedInTime(this.#client.end().catch(() => {}));
  }

  async #connect(): Promise<void> {
    const client = new Client(this.#options);
    this.#client = client;
    client.on("error", (error) => this.#log.warn({ err: error }, "the listener's connection was lost"));
    client.on("end", () => this.#again(client));
    client.on("notification", () => this.#tell());
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.#retryMs = FIRST_RETRY_MS;
      this.#tell();
    } catch {
      client.end().catch(() => {});
      this.#again(client);
    }
  }

  #again(client: Client): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = null;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#connect();
    }, this.#retryMs);
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
