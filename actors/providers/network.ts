/**
 * The way to the vendors: WebSockets by a client of ours (client-socket.ts), HTTP by undici. Passed in, so that a simulation can stand at the wire
 * and run the real clients in its own time.
 */
import { createRequire } from "node:module";
import type { Dispatcher, Pool as PoolType } from "undici";
import { ClientSocket, type ClientSocketOptions, type HandshakeAnswer } from "./client-socket.js";

/** The pool alone: the package's index would load a hundred files more into every shard. */
const Pool = createRequire(import.meta.url)("undici/lib/dispatcher/pool.js") as typeof PoolType;

/** A WebSocket; every event comes on a later tick than the call that caused it. */
export interface NetworkSocket {
  on(event: "upgrade", listener: (answer: HandshakeAnswer) => void): unknown;
  on(event: "unexpected-response", listener: (request: unknown, answer: HandshakeAnswer) => void): unknown;
  on(event: "open" | "pong", listener: () => void): unknown;
  /** The data is the listener's during the event only. */
  on(event: "message", listener: (data: Buffer, isBinary: boolean) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  readonly bufferedAmount: number;
  send(text: string): void;
  /** A binary message; the buffer may be reused at once. Nothing once the socket closes. */
  sendBinary(data: Uint8Array): void;
  ping(): void;
  close(code: number): void;
  terminate(): void;
}

/** What is used of an undici pool. */
export interface NetworkPool {
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean;
  /** Requests under way are aborted. */
  destroy(): Promise<void>;
}

export type NetworkSocketOptions = ClientSocketOptions;

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
