/**
 * The operator's pages over HTTP. No authentication: the port listens on loopback unless told otherwise.
 *
 *   GET /healthz/live    200 while the event loop runs
 *   GET /healthz/ready   200 while requests are served, else 503
 *   GET /metrics         Prometheus text format
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { LumentraError } from "#runtime/errors";

/** A scraper that says nothing is let go. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface AdminOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly registry: Registry;
  readonly isServing: () => boolean;
}

export class AdminServer {
  readonly #server: Server;

  /** @throws LumentraError CONTROL_PLANE_LISTEN_FAILED */
  static async start(options: AdminOptions): Promise<AdminServer> {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void answer(options, request, response);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        const message = `${options.host}:${options.port} cannot be listened on: ${cause.message}`;
        reject(new LumentraError("CONTROL_PLANE_LISTEN_FAILED", message, { cause }));
      });
      server.listen(options.port, options.host, resolve);
    });
    return new AdminServer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(
  { registry, isServing }: AdminOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const respond = (status: number, body: string, type = "application/json"): void => {
    response.writeHead(status, { "content-type": type });
    response.end(body);
  };
  if (request.method !== "GET") return respond(405, '{"error":"GET only"}');
  switch (request.url) {
    case "/healthz/live":
      return respond(200, '{"live":true}');
    case "/healthz/ready": {
      const ready = isServing();
      return respond(ready ? 200 : 503, JSON.stringify({ ready }));
    }
    case "/metrics":
      try {
        return respond(200, await registry.metrics(), registry.contentType);
      } catch {
        return respond(500, '{"error":"the metrics could not be read"}');
      }
    default:
      return respond(404, '{"error":"there is nothing at this path"}');
  }
}
