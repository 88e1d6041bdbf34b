/**
 * The connection to Redis: one client for commands, one for subscriptions (Redis Cluster: one client that does both),
 * both coming back by themselves.
 *
 * Invariants
 * X1 Nothing waits without a bound: for a connection OFFLINE_WAIT_MS from its loss, then failing at once; for an answer
 *    COMMAND_TIMEOUT_MS; and no more than IN_FLIGHT_MAX at a time do either. An answer that has come is taken even so: a
 *    process that stood still looks at its sockets before it calls Redis silent.
 * X2 A command is sent once. When its connection breaks, nobody knows whether it was done: the caller is told
 *    DIRECTORY_UNAVAILABLE, and asking again is safe, for a reservation is known by its carrier call.
 * X3 An error of Redis leaves as its message alone: the library's errors carry the command, and that the password or a
 *    caller's number.
 */
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { RedisAddress } from "./redis-url.js";
import type { Script } from "./scripts.js";

/** Long for a command that takes well under 1 ms, short beside a carrier's patience with a webhook (15 s). */
export const COMMAND_TIMEOUT_MS = 2_000;
/** A restart of Redis or a failover within this is not noticed by callers, but for the wait. */
const OFFLINE_WAIT_MS = 1_500;
/** Commands waiting for a connection or an answer. */
const IN_FLIGHT_MAX = 10_000;
/** A silent peer: the connection is made anew. Above COMMAND_TIMEOUT_MS, so that a slow answer comes first. */
const SOCKET_TIMEOUT_MS = 3_000;
const CONNECT_TIMEOUT_MS = 3_000;
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 2_000;
/** A subscription hears nothing of a peer that is gone: it asks. */
const SUBSCRIBER_PING_MS = 10_000;

type Client = Redis | Cluster;

export interface RedisConnectionOptions {
  readonly address: RedisAddress;
  readonly log: Logger;
  /** Every time commands can be sent, or messages heard, (again). */
  readonly onReady: () => void;
  readonly onMessage: (channel: string, message: string) => void;
}

export class RedisConnection {
  readonly #log: Logger;
  readonly #commands: Client;
  readonly #subscriber: Client;
  readonly #channels = new Set<string>();
  readonly #links = new Map<Client, Link>();
  readonly #pingTimer: NodeJS.Timeout;
  #inFlight = 0;
  #closed = false;

  constructor(options: RedisConnectionOptions) {
    const { address, onReady, onMessage } = options;
    this.#log = options.log;
    this.#commands = address.cluster ? openCluster(address) : openSingle(address);
    this.#subscriber = address.cluster ? this.#commands : openSingle(address);
    for (const client of new Set([this.#commands, this.#subscriber])) {
      const link = new Link(client, this.#log);
      this.#links.set(client, link);
      client.on("ready", () => {
        if (client === this.#subscriber) void this.#resubscribe().then(onReady);
        else onReady();
      });
    }
    this.#subscriber.on("message", onMessage);
    this.#pingTimer = setInterval(() => void this.#pingSubscriber(), SUBSCRIBER_PING_MS);
    this.#pingTimer.unref();
  }

  /** Runs a script on the slot of `key`. @throws LumentraError DIRECTORY_UNAVAILABLE */
  async run(script: Script, key: string, args: readonly string[]): Promise<readonly unknown[]> {
    const reply = await this.#bounded(this.#commands, async () => {
      try {
        return await this.#commands.evalsha(script.digest, 1, key, ...args);
      } catch (error) {
        // A server that restarted, or a master that took over, has never seen it.
        if (!String(error).includes("NOSCRIPT")) throw error;
        return this.#commands.eval(script.text, 1, key, ...args);
      }
    });
    return reply as readonly unknown[];
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#bounded(this.#commands, () => this.#commands.publish(channel, message));
  }

  /** In force when it resolves, and again after every reconnection. */
  async subscribe(channel: string): Promise<void> {
    this.#channels.add(channel);
    await this.#bounded(this.#subscriber, () => this.#subscriber.subscribe(channel));
  }

  unsubscribe(channel: string): void {
    this.#channels.delete(channel);
    if (this.#subscriber.status === "ready") this.#subscriber.unsubscribe(channel).catch(ignore);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#pingTimer);
    for (const [client, link] of this.#links) {
      link.close();
      client.disconnect();
    }
  }

  /** X1, X3. */
  async #bounded<Result>(client: Client, send: () => Promise<Result>): Promise<Result> {
    if (this.#closed) throw new LumentraError("DIRECTORY_UNAVAILABLE", "the directory is closed");
    if (this.#inFlight >= IN_FLIGHT_MAX)
      throw new LumentraError("DIRECTORY_UNAVAILABLE", `${IN_FLIGHT_MAX} commands wait for Redis already`);
    this.#inFlight++;
    let timer: NodeJS.Timeout | undefined;
    try {
      if (client.status !== "ready") await this.#links.get(client)!.ready();
      const timeout = new Promise<never>((_, reject) => {
        const tooLong = `no answer in ${COMMAND_TIMEOUT_MS} ms`;
        const fail = (): void => reject(new LumentraError("DIRECTORY_UNAVAILABLE", tooLong));
        // Timers come before sockets in a turn of the loop, and immediates after both.
        timer = setTimeout(() => setImmediate(fail), COMMAND_TIMEOUT_MS);
      });
      return await Promise.race([send(), timeout]);
    } catch (error) {
      if (error instanceof LumentraError) throw error;
      const message = reasonOf(error);
      // Not weather: a script is wrong, or may not do what it does.
      if (/^(?:ERR|NOPERM|WRONGTYPE)/.test(message)) this.#log.error({ reason: message }, "redis refuses");
      throw new LumentraError("DIRECTORY_UNAVAILABLE", `redis: ${message}`);
    } finally {
      clearTimeout(timer);
      this.#inFlight--;
    }
  }

  async #resubscribe(): Promise<void> {
    if (this.#channels.size === 0) return;
    try {
      await this.#subscriber.subscribe(...this.#channels);
    } catch {
      // The connection broke again; the next one subscribes.
    }
  }

  async #pingSubscriber(): Promise<void> {
    // A cluster's client looks after its own.
    if (this.#subscriber === this.#commands || this.#subscriber.status !== "ready") return;
    // Unanswered, it makes the library notice the silence (SOCKET_TIMEOUT_MS).
    await this.#subscriber.ping().catch(ignore);
  }
}

/** Whether a client is connected, since when it is not, and who waits for that. */
class Link {
  readonly #client: Client;
  readonly #log: Logger;
  readonly #waiting = new Set<{ resolve: () => void; reject: (error: Error) => void }>();
  /** Of the first OFFLINE_WAIT_MS of being away; null afterwards, and while connected. */
  #timer: NodeJS.Timeout | null = null;
  #down = false;
  #reason = "not connected yet";

  constructor(client: Client, log: Logger) {
    this.#client = client;
    this.#log = log;
    client.on("ready", () => this.#becomeUp());
    client.on("close", () => this.#becomeDown());
    client.on("error", (error: unknown) => this.#note(error));
    if (client instanceof Cluster) client.on("node error", (error: unknown) => this.#note(error));
    this.#becomeDown();
  }

  /** Resolves when connected; fails at once when it has been away for long (X1). */
  ready(): Promise<void> {
    if (this.#client.status === "ready") return Promise.resolve();
    if (!this.#down) this.#becomeDown();
    if (this.#timer === null) return Promise.reject(this.#unavailable());
    return new Promise((resolve, reject) => {
      this.#waiting.add({ resolve, reject });
    });
  }

  close(): void {
    this.#stopTimer();
    this.#down = true;
    this.#reason = "the directory is closed";
    this.#rejectAll();
  }

  #becomeUp(): void {
    if (this.#down && this.#timer === null) this.#log.info({}, "redis is back");
    this.#stopTimer();
    this.#down = false;
    for (const { resolve } of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #becomeDown(): void {
    if (this.#down) return;
    this.#down = true;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#log.warn({ reason: this.#reason }, "redis is away");
      this.#rejectAll();
    }, OFFLINE_WAIT_MS);
    this.#timer.unref();
  }

  #note(error: unknown): void {
    this.#reason = reasonOf(error);
  }

  #rejectAll(): void {
    for (const { reject } of this.#waiting) reject(this.#unavailable());
    this.#waiting.clear();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #unavailable(): LumentraError {
    return new LumentraError("DIRECTORY_UNAVAILABLE", `redis cannot be reached: ${this.#reason}`);
  }
}

function commonOptions(address: RedisAddress) {
  return {
    ...address.options,
    // The older protocol is what proxies and servers before 6 speak too; nothing here needs the newer.
    protocol: 2,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    // X2
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A failover made this server a replica: the address leads to another by now.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  } satisfies RedisOptions;
}

function openSingle(address: RedisAddress): Redis {
  return new Redis({
    ...commonOptions(address),
    ...address.servers[0]!,
    retryStrategy: retryDelayMs,
    enableOfflineQueue: false,
    autoResubscribe: false,
  });
}

function openCluster(address: RedisAddress): Cluster {
  return new Cluster([...address.servers], {
    redisOptions: commonOptions(address),
    enableOfflineQueue: false,
    clusterRetryStrategy: retryDelayMs,
    clusterNodeRetryStrategy: retryDelayMs,
    slotsRefreshInterval: 5_000,
    // Certificates name hosts, not the addresses they resolve to.
    ...(address.options.tls !== undefined && { dnsLookup: (host, done) => done(null, host) }),
  });
}

/** Doubling, with jitter: control planes must not all come at once to a Redis that is just starting. */
function retryDelayMs(attempt: number): number {
  const delayMs = Math.min(RETRY_MIN_MS * 2 ** Math.min(attempt - 1, 10), RETRY_MAX_MS);
  return delayMs / 2 + (Math.random() * delayMs) / 2;
}

/** X3. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function ignore(): void {}
