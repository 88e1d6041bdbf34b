/**
 * A language model behind HTTP and server-sent events, whatever its dialect: keeps connections warm, bounds
 * what runs at once, and gives each request its Generation. HttpTransport carries the bytes.
 */
import type { Clock } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import type { Failures } from "../failures.js";
import type { Network } from "../network.js";
import type { LlmSettings } from "../settings.js";
import type { LlmDialect } from "./dialect.js";
import { Generation } from "./generation.js";
import { HttpTransport } from "../http-transport.js";
import type { LlmEvents, LlmProvider, LlmRequest, LlmStream } from "./provider.js";

/** A connection unused this long is used once more, so that no server or NAT on the way forgets it. */
const REFRESH_INTERVAL_MS = 50_000;
/** The request that opens a connection ahead is given up after this. */
const WARM_TIMEOUT_MS = 5_000;

export interface HttpLlmDeps {
  readonly settings: LlmSettings;
  readonly failures: Failures;
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly log: Logger;
  readonly network?: Network | undefined;
}

export class HttpLlm implements LlmProvider, Due {
  readonly name: string;
  dueAtMs = NEVER;
  readonly #dialect: LlmDialect;
  readonly #deps: HttpLlmDeps;
  readonly #transport: HttpTransport;
  readonly #basePath: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #running = new Set<Generation>();
  #warming: Promise<void> | null = null;
  #abandonWarming: (() => void) | null = null;
  #closed = false;

  constructor(dialect: LlmDialect, deps: HttpLlmDeps) {
    this.name = dialect.name;
    this.#dialect = dialect;
    this.#deps = deps;
    const { apiKey, url, requestsMax, connectTimeoutMs } = deps.settings;
    const { origin, pathname } = new URL(url);
    this.#basePath = pathname === "/" ? dialect.basePath : pathname.replace(/\/+$/, "");
    this.#headers = {
      accept: "text/event-stream, application/json",
      "content-type": "application/json",
      ...dialect.headers(apiKey),
    };
    // One socket more than requests, for keeping warm.
    this.#transport = new HttpTransport(origin, requestsMax + 1, connectTimeoutMs, deps.network);
  }

  get usage(): number {
    return this.#running.size / this.#deps.settings.requestsMax;
  }

  generate(request: LlmRequest, events: LlmEvents): LlmStream {
    const generation = new Generation(request.callId, events, this.#dialect, {
      onEnded: (ended) => void this.#running.delete(ended),
      ...this.#deps,
    });
    if (this.#closed) {
      generation.failSoon({ reason: "CLOSED", what: "is closed on this shard" });
    } else if (this.#running.size >= this.#deps.settings.requestsMax) {
      generation.failSoon({ reason: "OVERFLOW", what: "already runs as many requests as we allow" });
    } else {
      this.#running.add(generation);
      this.#transport.send(
        {
          method: "POST",
          path: this.#basePath + this.#dialect.generatePath,
          headers: this.#headers,
          body: JSON.stringify(this.#dialect.body(request)),
        },
        generation,
      );
    }
    return generation;
  }

  /** Opens a connection by asking for the list of models: small, free, and it tells whether the key is good. */
  warm(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.dueAtMs === NEVER) {
      this.dueAtMs = this.#deps.clock.nowMs() + REFRESH_INTERVAL_MS;
      this.#deps.sweep.add(this);
    }
    this.#warming ??= this.#touch().finally(() => {
      this.#warming = null;
    });
    return this.#warming;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#deps.sweep.remove(this);
    this.dueAtMs = NEVER;
    await Promise.resolve(); // no event runs inside a call of theirs
    for (const generation of this.#running) {
      generation.fail({ reason: "CLOSED", what: "is closed on this shard" });
    }
    this.#abandonWarming?.();
    await this.#transport.close();
  }

  onDue(nowMs: number): void {
    this.dueAtMs = nowMs + REFRESH_INTERVAL_MS;
    if (this.#running.size === 0) void this.warm();
  }

  async #touch(): Promise<void> {
    const path = `${this.#basePath}/models`;
    const answered = this.#transport.touch({ method: "GET", path, headers: this.#headers, body: null });
    const noted = answered.then((status) => {
      if (status >= 200 && status < 300) return;
      if (!this.#closed) this.#deps.log.warn({ provider: this.name, status }, "could not warm a connection");
    });
    const abandoned = new Promise<void>((resolve) => {
      const timer = this.#deps.clock.setTimer(WARM_TIMEOUT_MS, resolve);
      this.#abandonWarming = () => {
        timer.cancel();
        resolve();
      };
    });
    await Promise.race([noted, abandoned]);
    this.#abandonWarming?.();
    this.#abandonWarming = null;
    // The pool takes a connection for free a turn of the event loop after its answer has ended.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
