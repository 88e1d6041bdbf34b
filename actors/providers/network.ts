/**
 * The way to the vendors: WebSockets by `ws`, HTTP by undici. Passed in, so that a simulation can stand at the wire
 * and run the real clients in its own time.
 */
import { createRequire } from "node:module";
import type { Writable } from "node:stream";
import type { Dispatcher, Pool as PoolType } from "undici";
import { WebSocket } from "ws";
import { FRAME_PAYLOAD_MAX_BYTES, binaryFrame } from "./binary-frame.js";

/** The pool alone: the package's index would load a hundred files more into every shard. */
const Pool = createRequire(import.meta.url)("undici/lib/dispatcher/pool.js") as typeof PoolType;

/** What is used of `ws`, and audio beside it. */
export interface NetworkSocket
  extends Pick<WebSocket, "on" | "send" | "ping" | "close" | "terminate" | "bufferedAmount"> {
  /** A binary message; the buffer may be reused at once. Nothing once the socket closes. */
  sendBinary(data: Uint8Array): void;
}

/** What is used of an undici pool. */
export interface NetworkPool {
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean;
  /** Requests under way are aborted. */
  destroy(): Promise<void>;
}

export interface NetworkSocketOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly messageMaxBytes: number;
}

export interface NetworkPoolOptions {
  readonly socketsMax: number;
  readonly connectTimeoutMs: number;
}

export interface Network {
  /** Dials at once; every event comes on a later tick. */
  openSocket(url: string, options: NetworkSocketOptions): NetworkSocket;
  openPool(origin: string, options: NetworkPoolOptions): NetworkPool;
}

/** Idle sockets stay open this long, unless the server says less; turns are seconds apart, calls minutes. */
const KEEP_ALIVE_MS = 120_000;

/** `ws`, but for binary messages: both end in the same connection, synchronously, so they leave in the order they were sent. */
class ClientSocket extends WebSocket implements NetworkSocket {
  #connection: Writable | null = null;

  constructor(url: string, { headers, messageMaxBytes }: NetworkSocketOptions) {
    super(url, { headers, perMessageDeflate: false, maxPayload: messageMaxBytes });
    this.once("upgrade", (response) => {
      this.#connection = response.socket;
    });
  }

  sendBinary(data: Uint8Array): void {
    if (this.readyState !== WebSocket.OPEN) return;
    if (this.#connection === null || data.length > FRAME_PAYLOAD_MAX_BYTES) this.send(data);
    else this.#connection.write(binaryFrame(data));
  }
}

export const systemNetwork: Network = {
  openSocket: (url, options) => new ClientSocket(url, options),
  openPool: (origin, { socketsMax, connectTimeoutMs }) =>
    new Pool(origin, {
      connections: socketsMax,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // The server's own hint may be larger and is right then.
      keepAliveMaxTimeout: 5 * KEEP_ALIVE_MS,
      connect: { timeout: connectTimeoutMs },
      // Deadlines are the caller's, on its clock.
      headersTimeout: 0,
      bodyTimeout: 0,
    }),
};
