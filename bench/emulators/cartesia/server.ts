/** The Cartesia server: who may open a socket or ask over HTTP, and the account that all sockets share. */
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { FaultSwitch, faultOf } from "../faults.js";
import type { EmulatorSettings } from "../options.js";
import { type UpgradeAnswer, type UpgradeRequest, WsHost, writeAnswer } from "../ws-host.js";
import { errorMessage } from "./messages.js";
import type {
  CartesiaContextFault,
  CartesiaContextInfo,
  CartesiaLiveFault,
  CartesiaSocketFault,
  CartesiaSocketInfo,
} from "./faults.js";
import { answerSpeech } from "./http.js";
import { type CartesiaAccount, CartesiaSocket } from "./socket.js";

/** The vendor's: this many sockets for each context that may be active. */
const SOCKETS_PER_CONTEXT = 10;

/** A socket that is open. */
export interface LiveSocket {
  /** Contexts that are not over. */
  readonly contextIds: readonly string[];
  inject(fault: CartesiaLiveFault): void;
  /** An error for one of its contexts, now. */
  failContext(contextId: string, status: number, message: string): void;
}

export interface CartesiaControl {
  readonly socketFaults: FaultSwitch<CartesiaSocketFault, CartesiaSocketInfo>;
  readonly contextFaults: FaultSwitch<CartesiaContextFault, CartesiaContextInfo>;
  readonly live: readonly LiveSocket[];
  /** Contexts that are not over, on all sockets. */
  readonly activeContexts: number;
  /** Sockets opened since the start. */
  readonly openedCount: number;
}

interface Asked {
  readonly query: URLSearchParams;
  readonly header: (name: string) => string;
}

export class CartesiaServer implements CartesiaControl {
  readonly #settings: EmulatorSettings;
  readonly #host: WsHost;
  readonly socketFaults = new FaultSwitch<CartesiaSocketFault, CartesiaSocketInfo>();
  readonly contextFaults = new FaultSwitch<CartesiaContextFault, CartesiaContextInfo>();
  readonly #live = new Set<CartesiaSocket>();
  readonly #account: CartesiaAccount;
  #openedCount = 0;

  constructor(settings: EmulatorSettings) {
    this.#settings = settings;
    this.#account = {
      activeContexts: 0,
      takeContextFaults: (info) => this.contextFaults.take(info),
    };
    this.#host = new WsHost(
      settings.clock,
      (request) => this.#decide(request),
      (res, req) => this.#http(res, req),
    );
  }

  get live(): readonly LiveSocket[] {
    return [...this.#live];
  }

  get activeContexts(): number {
    return this.#account.activeContexts;
  }

  get openedCount(): number {
    return this.#openedCount;
  }

  /** The port it listens on. */
  listen(): Promise<number> {
    return this.#host.listen(this.#settings.host, this.#settings.ports.cartesia);
  }

  close(): void {
    this.#host.close();
  }

  #decide(request: UpgradeRequest): UpgradeAnswer {
    if (request.path !== "/tts/websocket") return refuse(404, "Not found.");
    const faults = this.socketFaults.take({ query: request.query });
    if (faultOf(faults, "dropHandshake") !== undefined) return { kind: "drop" };
    const refused = faultOf(faults, "refuse");
    if (refused !== undefined) return refuse(refused.status, refused.message ?? `HTTP ${refused.status}`);
    const { query } = request;
    const problem = this.#problemWith({ query, header: (name) => request.header(name) });
    if (problem !== null) return refuse(problem.status, problem.message);
    if (this.#live.size >= this.#settings.limits.cartesiaContexts * SOCKETS_PER_CONTEXT) {
      return refuse(429, "Too many WebSocket connections.");
    }
    const delayMs = faultOf(faults, "slowHandshake")?.delayMs;
    return {
      kind: "accept",
      headers: {},
      ...(delayMs === undefined ? {} : { delayMs }),
      begin: (wire) => {
        const socket = new CartesiaSocket(wire, this.#settings, this.#account, () =>
          this.#live.delete(socket),
        );
        this.#live.add(socket);
        this.#openedCount += 1;
        socket.addFaults(faults);
        return socket;
      },
    };
  }

  #http(res: HttpResponse, req: HttpRequest): boolean {
    const form = req.getUrl() === "/tts/bytes" ? "bytes" : req.getUrl() === "/tts/sse" ? "sse" : null;
    if (form === null || req.getMethod() !== "post") return false;
    const asked = {
      query: new URLSearchParams(req.getQuery()),
      header: (name: string) => req.getHeader(name),
    };
    const problem = this.#problemWith(asked);
    if (problem === null) answerSpeech(res, form, this.#settings);
    else writeAnswer(res, refusalAnswer(problem.status, problem.message));
    return true;
  }

  /** The key may come in a header or the query; the version must come in one of them. */
  #problemWith({ query, header }: Asked): { status: 400 | 401; message: string } | null {
    const bearer = /^bearer (.+)$/i.exec(header("authorization"))?.[1];
    const key = header("x-api-key") || bearer || query.get("api_key") || query.get("access_token") || "";
    if (key !== this.#settings.apiKey) return { status: 401, message: "Invalid API key." };
    const version = header("cartesia-version") || query.get("cartesia_version") || "";
    if (!/^\d{4}-\d{2}-\d{2}$/.test(version)) {
      return { status: 400, message: "The Cartesia-Version header is required, as YYYY-MM-DD." };
    }
    return null;
  }
}

function refusalAnswer(status: number, message: string): { status: number; headers: {}; body: string } {
  const body = JSON.stringify(errorMessage(status, message, "refused", null, `HTTP ${status}`));
  return { status, headers: {}, body };
}

function refuse(status: number, message: string): UpgradeAnswer {
  return { kind: "refuse", answer: refusalAnswer(status, message) };
}
