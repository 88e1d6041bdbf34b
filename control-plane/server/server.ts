/**
 * The gRPC server: every service behind one guard, health and reflection beside them.
 *
 * Life: start() -> serving -> drain() -> close(). Health says SERVING while it serves and what it stands on answers.
 */
import { ReflectionService } from "@grpc/reflection";
import { Server, type ServiceDefinition } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { packageDefinition, services as definitions } from "#proto";
import type { TimerHandle } from "#runtime/actor";
import { type ErrorCode, LumentraError, errorTable } from "#runtime/errors";
import {
  MAX_ANSWER_BYTES,
  MAX_REQUEST_BYTES,
  type ServerSecurity,
  codeOf,
  serverCredentials,
} from "#runtime/rpc";
import { callerOf } from "./caller.js";
import { Guard, type GuardOptions } from "./guard.js";
import { type Services, toGrpcHandlers } from "./handlers.js";

/** Per connection; a client with more waits. */
const CONNECTION_STREAMS_MAX = 1_000;
/** A client that went away without a word is found within the two of them. */
const KEEPALIVE_TIME_MS = 20_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
/** How soon health notices that Postgres or Redis is gone, or back. */
const HEALTH_CHECK_MS = 2_000;
/** What is asked and does not answer in this time is gone. */
const HEALTH_TIMEOUT_MS = 1_500;

export interface ControlServerOptions extends GuardOptions {
  readonly security: ServerSecurity;
  /** 0 takes a free one. */
  readonly port: number;
  readonly services: Services;
  /** Rejects while what we stand on (store, directory) does not answer. */
  readonly check: () => Promise<unknown>;
}

export class ControlServer {
  readonly #server: Server;
  readonly #guard: Guard;
  readonly #health: HealthImplementation;
  readonly #options: ControlServerOptions;
  #port = 0;
  #isServing = false;
  #healthTimer: TimerHandle | null = null;
  #isClosed = false;

  /** @throws LumentraError TLS_REQUIRED, SETTING_INVALID, CONTROL_PLANE_LISTEN_FAILED */
  static async start(options: ControlServerOptions): Promise<ControlServer> {
    const credentials = serverCredentials(options.security);
    const server = new ControlServer(options);
    const { host } = options.security;
    const address = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
    server.#port = await new Promise<number>((resolve, reject) => {
      server.#server.bindAsync(`${address}:${options.port}`, credentials, (error, port) => {
        if (error === null) return resolve(port);
        const message = `${address}:${options.port} cannot be listened on: ${error.message}`;
        reject(new LumentraError("CONTROL_PLANE_LISTEN_FAILED", message, { cause: error }));
      });
    });
    await server.#look();
    return server;
  }

  private constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#guard = new Guard(options);
    this.#server = new Server({
      interceptors: [this.#guard.interceptor],
      "grpc.max_concurrent_streams": CONNECTION_STREAMS_MAX,
      "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
      "grpc.max_send_message_length": MAX_ANSWER_BYTES,
      "grpc.keepalive_time_ms": KEEPALIVE_TIME_MS,
      "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    });
    const onError = (call: Parameters<typeof callerOf>[0], error: unknown): void => {
      const code: ErrorCode = codeOf(error);
      // What the client is told not, the log is: our bugs, and what we stand on.
      if (["INTERNAL", "UNAVAILABLE"].includes(errorTable[code].grpcStatus)) {
        callerOf(call).log.error({ error }, "an RPC failed");
      }
    };
    for (const [name, service] of Object.entries(options.services) as [keyof Services, object][]) {
      const definition = definitions[name].service as unknown as ServiceDefinition;
      this.#server.addService(definition, toGrpcHandlers(definition, service, onError));
    }
    this.#health = new HealthImplementation({ "": "NOT_SERVING" });
    this.#health.addToServer(this.#server);
    new ReflectionService(packageDefinition).addToServer(this.#server);
  }

  get port(): number {
    return this.#port;
  }

  /** As health says it. */
  get isServing(): boolean {
    return this.#isServing;
  }

  /** Health says no, streams are told, what runs may finish within the grace. */
  async drain(graceMs: number): Promise<void> {
    this.#healthTimer?.cancel();
    this.#isServing = false;
    this.#health.setStatus("", "NOT_SERVING");
    this.#guard.beginDrain();
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.setTimer(graceMs, () => {
        this.#server.forceShutdown();
        resolve();
      });
      this.#server.tryShutdown(() => {
        timer.cancel();
        resolve();
      });
    });
    this.#isClosed = true;
  }

  /** Now. */
  close(): void {
    this.#healthTimer?.cancel();
    this.#guard.close();
    if (!this.#isClosed) this.#server.forceShutdown();
    this.#isClosed = true;
  }

  async #look(): Promise<void> {
    const { clock, check, log } = this.#options;
    const isServing = await within(check(), HEALTH_TIMEOUT_MS, clock).then(
      () => true,
      (error: unknown) => {
        if (this.#isServing) log.warn({ error }, "not serving: what we stand on does not answer");
        return false;
      },
    );
    if (this.#guard.isDraining || this.#isClosed) return;
    if (isServing && !this.#isServing) log.info({}, "serving");
    this.#isServing = isServing;
    this.#health.setStatus("", isServing ? "SERVING" : "NOT_SERVING");
    this.#healthTimer = clock.setTimer(HEALTH_CHECK_MS, () => void this.#look());
  }
}

function within(
  work: Promise<unknown>,
  timeoutMs: number,
  clock: ControlServerOptions["clock"],
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => reject(new Error(`no answer in ${timeoutMs} ms`)));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
