/**
 * One HTTP request and its answer over uWebSockets.js, with its traps closed:
 *
 * X1  A handler that throws before it answers aborts the process: `route` catches and answers 500.
 * X2  After the peer has gone the response must not be touched: `respond` then does nothing.
 * X3  The request is valid during the handler only, so what is needed later is copied first.
 * X4  Answers after the handler returned are corked, in one packet.
 */
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { type ErrorCode, LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";

export type Handler = (exchange: HttpExchange) => void;

const STATUS_TEXT: Readonly<Record<number, string>> = {
  200: "200 OK",
  204: "204 No Content",
  400: "400 Bad Request",
  403: "403 Forbidden",
  404: "404 Not Found",
  405: "405 Method Not Allowed",
  413: "413 Content Too Large",
  415: "415 Unsupported Media Type",
  426: "426 Upgrade Required",
  500: "500 Internal Server Error",
  503: "503 Service Unavailable",
};

/** Wraps a handler for App.get, App.post and the like. X1 */
export function route(log: Logger, handler: Handler): (res: HttpResponse, req: HttpRequest) => void {
  return (res, req) => {
    const exchange = new HttpExchange(res, req);
    exchange.guard(log, () => handler(exchange));
  };
}

export class HttpExchange {
  readonly method: string;
  /** As it came, not decoded. */
  readonly path: string;
  /** With its `?`, or "". */
  readonly query: string;
  readonly #res: HttpResponse;
  readonly #req: HttpRequest;
  #onAnswered: ((status: number) => void) | null = null;
  #over = false;

  constructor(res: HttpResponse, req: HttpRequest) {
    this.#res = res;
    this.#req = req;
    this.method = req.getMethod();
    this.path = req.getUrl();
    const query = req.getQuery();
    this.query = query ? `?${query}` : "";
    res.onAborted(() => {
      this.#over = true;
    });
  }

  /** X3: only before the handler returns. */
  header(lowerCaseName: string): string {
    return this.#req.getHeader(lowerCaseName);
  }

  /** X3: only before the handler returns. */
  parameter(index: number): string {
    return this.#req.getParameter(index) ?? "";
  }

  /** Answered, or the peer has gone: nothing can be said to it any more. */
  get isOver(): boolean {
    return this.#over;
  }

  /** X2: hands the response over to `use`, corked; nothing happens when the exchange is over. */
  hijack(use: (res: HttpResponse) => void): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#res.cork(() => use(this.#res));
    return true;
  }

  remoteAddress(): string {
    return this.#over ? "" : Buffer.from(this.#res.getRemoteAddressAsText()).toString("latin1");
  }

  /** Called once with the status, for counting. */
  onAnswered(callback: (status: number) => void): void {
    this.#onAnswered = callback;
  }

  /** Runs `work`; what it throws becomes a 500. */
  guard(log: Logger, work: () => void): void {
    try {
      work();
    } catch (error) {
      log.error({ error, path: this.path }, "an HTTP handler threw");
      this.respondError(500, "EDGE_REQUEST_FAILED", "the request could not be handled");
    }
  }

  /**
   * Hands over the whole body, or answers 413. The reader of a body that drips in is uWebSockets.js's own
   * business: it closes what brings less than 16 KiB in ten seconds.
   */
  readBody(log: Logger, maxBytes: number, then: (body: Uint8Array) => void): void {
    const chunks: Uint8Array[] = [];
    let size = 0;
    this.#res.onData((chunk, isLast) => {
      if (this.#over) return;
      size += chunk.byteLength;
      if (size > maxBytes) {
        return this.respondError(
          413,
          "EDGE_REQUEST_INVALID",
          `the body is larger than ${maxBytes} bytes`,
          true,
        );
      }
      // Copied: the chunk is detached once we return.
      chunks.push(new Uint8Array(chunk.slice(0)));
      if (isLast) this.guard(log, () => then(Buffer.concat(chunks)));
    });
  }

  respond(status: number, contentType: string, body: string | Uint8Array, closeConnection = false): void {
    if (this.#over) return;
    this.#over = true;
    // X4
    this.#res.cork(() => {
      this.#res.writeStatus(STATUS_TEXT[status] ?? String(status));
      if (contentType !== "") this.#res.writeHeader("Content-Type", contentType);
      if (status === 405) this.#res.writeHeader("Allow", this.#allowed);
      if (status === 204) this.#res.endWithoutBody(undefined, closeConnection);
      else this.#res.end(body, closeConnection);
    });
    this.#onAnswered?.(status);
  }

  respondJson(status: number, value: unknown, closeConnection = false): void {
    this.respond(status, "application/json", `${JSON.stringify(value)}\n`, closeConnection);
  }

  respondError(status: number, code: ErrorCode, message: string, closeConnection = false): void {
    this.respondJson(status, { code, message }, closeConnection);
  }

  respondMethodNotAllowed(allowed: string): void {
    this.#allowed = allowed;
    this.respondError(405, "EDGE_REQUEST_INVALID", `${this.path} takes ${allowed}`);
  }
  #allowed = "";
}

/** A promise's result for an answer that needs one. */
export function respondLater(exchange: HttpExchange, log: Logger, work: Promise<() => void>): void {
  work.then(
    (answer) => exchange.guard(log, answer),
    (error: unknown) =>
      exchange.guard(log, () => {
        throw error instanceof Error ? error : new LumentraError("EDGE_REQUEST_FAILED", String(error));
      }),
  );
}
