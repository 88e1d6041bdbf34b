/**
 * The operator's port of several node processes: one page for what each has a page of, and a way to each one's own.
 *
 *   GET /healthz/live            200 while this process runs
 *   GET /healthz/ready           200 while any of them welcomes new calls, else 503; JSON says which
 *   GET /metrics                 Prometheus text format; each value with the label `process`
 *   GET /calls                   live calls of all
 *   GET /calls/<callId>/journal  of the one that has it; its /message, too
 *   …   /processes/<index>/…     that one's own page: POST /processes/0/shards/1/drain
 *
 * No authentication: it listens where LUMENTRA_ADMIN_HOST says, loopback by default.
 *
 * A1  A process that does not answer in time is left out of a page, or shown as it was; the others are there.
 * A2  Totals never fall: those of a process that died stay as last seen, and its successor's are added to them.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { LumentraError } from "#runtime/errors";
import { type Logger, MetricsMerge, type MetricsSnapshot, labelled } from "#runtime/telemetry";

/** One process, as long as it runs. */
export interface AdminChild {
  readonly index: number;
  readonly adminUrl: string;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  /** A message that a caller left is sound. */
  readonly body: string | Buffer;
}

interface Page {
  readonly child: AdminChild;
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

/** A1. Longer than a process waits for its shards' figures. */
const CHILD_TIMEOUT_MS = 5_000;
/** A scraper that says nothing is let go. */
const REQUEST_TIMEOUT_MS = 10_000;
/** As on each process's own admin port. */
const CONNECTIONS_MAX = 256;
const JSON_TYPE = "application/json";
const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export class ProcessesAdmin {
  readonly #server: Server;
  readonly #log: Logger;
  readonly #children = new Map<number, AdminChild>();
  readonly #merge = new MetricsMerge();

  /** @throws LumentraError EDGE_LISTEN_FAILED */
  static async listen(host: string, port: number, log: Logger): Promise<ProcessesAdmin> {
    const admin = new ProcessesAdmin(log);
    await new Promise<void>((resolve, reject) => {
      admin.#server.once("error", (cause) => {
        const message = `cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new LumentraError("EDGE_LISTEN_FAILED", message, { cause }));
      });
      admin.#server.listen(port, host, resolve);
    });
    return admin;
  }

  private constructor(log: Logger) {
    this.#log = log;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void this.#respond(request, response);
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  started(child: AdminChild): void {
    this.#children.set(child.index, child);
  }

  /** A2 */
  ended(index: number): void {
    this.#children.delete(index);
    this.#merge.retire(String(index));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: Answer;
    try {
      // As it came: `//` is no URL, and must not be a failure of ours.
      const [path] = (request.url ?? "/").split("?", 1);
      answer = await this.#answer(request.method ?? "", path!);
    } catch (error) {
      this.#log.error({ err: error, path: request.url }, "an admin page failed");
      answer = failed(500, "EDGE_REQUEST_FAILED", "the request could not be handled");
    }
    response.writeHead(answer.status, { "content-type": answer.contentType });
    response.end(answer.body);
  }

  async #answer(method: string, path: string): Promise<Answer> {
    const own = /^\/processes\/(\d{1,3})(\/.*)$/.exec(path);
    if (own !== null) {
      const child = this.#children.get(Number(own[1]));
      const page = child === undefined ? null : await this.#page(child, own[2]!, method);
      if (page === null) return failed(404, "EDGE_REQUEST_INVALID", "no such process runs");
      return page;
    }
    if (method !== "GET") return failed(405, "EDGE_REQUEST_INVALID", `${path} takes GET`);
    if (path === "/healthz/live") return json(200, { live: true });
    if (path === "/healthz/ready") return this.#ready();
    if (path === "/metrics") return this.#metrics();
    if (path === "/calls") {
      const pages = (await this.#pages(path)).filter(({ status }) => status === 200);
      const calls = pages.flatMap((page) => (read(page) as { calls: unknown[] }).calls);
      return json(200, { calls });
    }
    if (/^\/calls\/[^/]+\/(journal|message)$/.test(path)) {
      const found = (await this.#pages(path)).find(({ status }) => status === 200);
      return (
        found ?? failed(404, "EDGE_REQUEST_INVALID", "no such call, or nothing of the kind was kept of it")
      );
    }
    return failed(404, "EDGE_REQUEST_INVALID", "there is nothing at this path");
  }

  async #ready(): Promise<Answer> {
    const pages = await this.#pages("/healthz/ready");
    const processes = pages.map((page) => ({
      process: page.child.index,
      ...(read(page) as { ready: boolean; draining: boolean; liveCalls?: number }),
    }));
    const ready = processes.some((each) => each.ready);
    const draining = processes.length > 0 && processes.every((each) => each.draining);
    const liveCalls = processes.reduce((sum, each) => sum + (each.liveCalls ?? 0), 0);
    return json(ready ? 200 : 503, { ready, draining, liveCalls, processes });
  }

  async #metrics(): Promise<Answer> {
    for (const page of await this.#pages("/metrics.json")) {
      const { child, status } = page;
      // One that has died meanwhile was retired, and must not come back: A2.
      if (status !== 200 || this.#children.get(child.index) !== child) continue;
      const source = String(child.index);
      this.#merge.update(source, labelled(read(page) as MetricsSnapshot, "process", source));
    }
    return { status: 200, contentType: METRICS_TYPE, body: await this.#merge.text() };
  }

  /** The same page of each that answers. */
  async #pages(path: string): Promise<Page[]> {
    const children = [...this.#children.values()].toSorted((a, b) => a.index - b.index);
    const pages = await Promise.all(children.map((child) => this.#page(child, path, "GET")));
    return pages.filter((page) => page !== null);
  }

  async #page(child: AdminChild, path: string, method: string): Promise<Page | null> {
    try {
      const signal = AbortSignal.timeout(CHILD_TIMEOUT_MS);
      const response = await fetch(child.adminUrl + path, { method, signal });
      const contentType = response.headers.get("content-type") ?? JSON_TYPE;
      const body = Buffer.from(await response.arrayBuffer());
      return { child, status: response.status, contentType, body };
    } catch (error) {
      this.#log.warn({ err: error, process: child.index, path }, "a process gave no page");
      return null;
    }
  }
}

function read({ body }: Page): unknown {
  return JSON.parse(body.toString("utf8"));
}

function json(status: number, value: unknown): Answer {
  return { status, contentType: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

function failed(
  status: number,
  code: "EDGE_REQUEST_INVALID" | "EDGE_REQUEST_FAILED",
  message: string,
): Answer {
  return json(status, { code, message });
}
