/**
 * A WebSocket server on uWebSockets.js that two vendors' emulators share: it asks the vendor about each
 * upgrade, hands it a Wire for each socket that opens, and can do to a socket what networks and vendors do.
 *
 * Main thread only, as everything on uWebSockets.js: a worker that holds such a server cannot be terminated.
 */
import {
  App,
  type HttpRequest,
  type HttpResponse,
  type TemplatedApp,
  type WebSocket,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from "uWebSockets.js";
import type { Clock } from "#runtime/actor";
import { type RawSocket, Wire, type WireHandler } from "./wire.js";

/** A minute of L16 at 16 kHz: nobody sends more at once. uWebSockets.js closes the socket of who does. */
const MESSAGE_MAX_BYTES = 2 * 1024 * 1024;
/** What may wait for a client that does not read; past it the socket is closed, as a vendor's would be. */
const UNREAD_MAX_BYTES = 16 * 1024 * 1024;

/** An upgrade request, copied: it outlives the callback. */
export interface UpgradeRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  /** By lower-case name; "" when absent. */
  header(name: string): string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Acceptance {
  readonly kind: "accept";
  readonly headers: Readonly<Record<string, string>>;
  /** The subprotocol chosen. */
  readonly protocol?: string;
  /** Holds the 101 back. */
  readonly delayMs?: number;
  readonly begin: (wire: Wire) => WireHandler;
}

export type UpgradeAnswer =
  | Acceptance
  | { readonly kind: "refuse"; readonly answer: HttpAnswer }
  /** The connection is closed without a word. */
  | { readonly kind: "drop" };

/** Answers a plain HTTP request and returns true; false is 404. */
export type HttpHandler = (res: HttpResponse, req: HttpRequest) => boolean;

/** What an upgrade is completed with; the package does not export its type. */
type SocketContext = Parameters<HttpResponse["upgrade"]>[4];

interface SocketData {
  readonly wire: Wire;
  readonly acceptance: Acceptance;
}

export class WsHost {
  readonly #app: TemplatedApp;
  readonly #clock: Clock;
  readonly #decide: (request: UpgradeRequest) => UpgradeAnswer;
  readonly #open = new Set<WebSocket<SocketData>>();
  #listening: us_listen_socket | null = null;

  constructor(clock: Clock, decide: (request: UpgradeRequest) => UpgradeAnswer, onHttp: HttpHandler) {
    this.#clock = clock;
    this.#decide = decide;
    this.#app = App();
    this.#app.ws<SocketData>("/*", {
      maxPayloadLength: MESSAGE_MAX_BYTES,
      maxBackpressure: UNREAD_MAX_BYTES,
      closeOnBackpressureLimit: true,
      // The vendors' own idle rules are the emulators' business.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      compression: 0,
      upgrade: (res, req, context) => guarded(res, () => this.#upgrade(res, req, context)),
      open: (socket) => {
        this.#open.add(socket);
        const { wire, acceptance } = socket.getUserData();
        wire.opened(rawSocket(socket), acceptance.begin);
      },
      message: (socket, message, isBinary) => socket.getUserData().wire.received(message, isBinary),
      ping: (socket) => socket.getUserData().wire.pinged(),
      close: (socket) => {
        this.#open.delete(socket);
        socket.getUserData().wire.closed();
      },
    });
    this.#app.any("/*", (res, req) =>
      guarded(res, () => {
        if (onHttp(res, req)) return;
        writeAnswer(res, { status: 404, headers: {}, body: '{"error":"not found"}' });
      }),
    );
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** The port it listens on. */
  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#app.listen(host, port, (token) => {
        if (token === false) {
          reject(new Error(`cannot listen on ${host}:${port}`));
          return;
        }
        this.#listening = token;
        resolve(us_socket_local_port(token));
      });
    });
  }

  close(): void {
    if (this.#listening === null) return;
    us_listen_socket_close(this.#listening);
    this.#listening = null;
    for (const socket of this.#open) socket.end(1001, "");
    this.#app.close();
  }

  #upgrade(res: HttpResponse, req: HttpRequest, context: SocketContext): void {
    const headers = new Map<string, string>();
    req.forEach((name, value) => headers.set(name, value));
    const request: UpgradeRequest = {
      path: req.getUrl(),
      query: new URLSearchParams(req.getQuery()),
      header: (name) => headers.get(name) ?? "",
    };
    const answer = this.#decide(request);
    if (answer.kind === "drop") res.close();
    else if (answer.kind === "refuse") writeAnswer(res, answer.answer);
    else if (answer.delayMs === undefined) this.#accept(res, request, context, answer);
    else {
      const timer = this.#clock.setTimer(answer.delayMs, () =>
        res.cork(() => this.#accept(res, request, context, answer)),
      );
      res.onAborted(() => timer.cancel());
    }
  }

  #accept(res: HttpResponse, request: UpgradeRequest, context: SocketContext, acceptance: Acceptance): void {
    res.writeStatus("101 Switching Protocols");
    for (const [name, value] of Object.entries(acceptance.headers)) res.writeHeader(name, value);
    res.upgrade<SocketData>(
      { wire: new Wire(this.#clock), acceptance },
      request.header("sec-websocket-key"),
      acceptance.protocol ?? "",
      request.header("sec-websocket-extensions"),
      context,
    );
  }
}

function rawSocket(socket: WebSocket<SocketData>): RawSocket {
  return {
    send: (text) => void socket.send(text, false, false),
    end: (code, reason) => socket.end(code, reason),
    close: () => socket.close(),
  };
}

/** A throw in a handler that has not answered would abort the process. */
function guarded(res: HttpResponse, handle: () => void): void {
  try {
    handle();
  } catch (error) {
    console.error(error);
    res.close();
  }
}

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

export function writeAnswer(res: HttpResponse, answer: HttpAnswer): void {
  res.writeStatus(`${answer.status} ${REASONS[answer.status] ?? "Error"}`);
  res.writeHeader("content-type", "application/json");
  for (const [name, value] of Object.entries(answer.headers)) res.writeHeader(name, value);
  res.end(answer.body);
}
