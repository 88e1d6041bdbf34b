/**
 * The directory of many machines: every method that decides something is one Lua script (lua/), atomic in Redis, on
 * Redis's own clock, so that control planes need not agree on the time.
 *
 * Why sorted sets by expiry for counting, and not counters: a counter must be taken down by somebody, and a process that
 * dies in between leaves it too high for ever. A member of a sorted set stops counting when its time is up.
 * Why one hash tag for all keys: a placement looks at two or more nodes, a tenant, a reseller and a call, and must be
 * one step. In a cluster a script may touch one slot. The price is that one master serves a deployment; a core of it
 * does several times the placements wanted.
 *
 * Invariants
 * R1 Every reply carries the generation; one that was not seen before means that Redis forgot, and is told to the
 *    listeners once, whichever way it was noticed (reply, message, reconnection).
 */
import { randomUUID } from "node:crypto";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type {
  Counts,
  Directory,
  Lease,
  LeaseClaim,
  LeaseVerdict,
  NodeRecord,
  NodeRegistration,
  NodeReport,
  ReserveRequest,
  ReserveResult,
} from "./directory.js";
import { CALL_KEPT_MS, ENDED_KEPT_MS, NODE_KEPT_MS, OUTAGE_MS, REBUILD_MS } from "./limits.js";
import { Listeners, Topics } from "./listeners.js";
import { NO_REPORT } from "./memory-directory.js";
import { RedisConnection } from "./redis-connection.js";
import { requireRedisUrl } from "./redis-url.js";
import { type ScriptName, loadScripts } from "./scripts.js";

export interface RedisDirectoryOptions {
  readonly url: string;
  readonly prefix: string;
  readonly log: Logger;
  /** How long nothing is granted after a loss of memory, in ms. @default REBUILD_MS */
  readonly rebuildMs?: number;
  /** @internal Unix ms that stand in for Redis's clock, in tests on virtual time; there outages are not looked for. */
  readonly unixMs?: () => number;
}

/** A renewal takes Redis 4 to 5 us, an adoption 12, and everybody else waits for the script's end. */
const CLAIMS_PER_SCRIPT = 100;
/** Listing 1,000 nodes in one script holds placements up for 7 ms; in eight, for less than 1 at a time. */
const NODE_SHARDS = 8;
/** Strings of a lease in a reply; see addLease in prelude.lua. */
const LEASE_FIELDS = 12;
const NODE_FIELDS = 7;
/** More losses than this between two replies would be told twice. */
const GENERATIONS_KEPT = 16;

export class RedisDirectory implements Directory {
  readonly kind = "redis";
  readonly #connection: RedisConnection;
  readonly #scripts = loadScripts();
  readonly #tag: string;
  readonly #rebuildMs: number;
  readonly #unixMs: (() => number) | null;
  readonly #log: Logger;
  readonly #topics: Topics;
  readonly #rebuilds: Listeners<void>;
  readonly #generations: string[] = [];

  constructor(options: RedisDirectoryOptions) {
    this.#tag = `{${options.prefix}}:`;
    this.#rebuildMs = options.rebuildMs ?? REBUILD_MS;
    this.#unixMs = options.unixMs ?? null;
    this.#log = options.log;
    this.#topics = new Topics(options.log);
    this.#rebuilds = new Listeners(options.log);
    this.#connection = new RedisConnection({
      address: requireRedisUrl(options.url),
      log: options.log,
      // Whoever comes back looks whether it is the Redis that was left.
      onReady: () => {
        this.ping().catch(() => {});
      },
      onMessage: (channel, message) => this.#onMessage(channel, message),
    });
    this.#connection.subscribe(this.#rebuildChannel).catch(() => {
      // It is among the channels of the next connection.
    });
  }

  // ---- nodes

  async registerNode(
    registration: NodeRegistration,
    leaseTimeMs: number,
    report: NodeReport | null = null,
  ): Promise<{ draining: boolean }> {
    const { nodeId, incarnation, capacityCalls } = registration;
    const [draining] = await this.#run("register-node", [
      nodeId,
      incarnation,
      String(capacityCalls),
      JSON.stringify(registration),
      String(leaseTimeMs),
      JSON.stringify(NO_REPORT),
      shardOf(nodeId),
      report === null ? "" : JSON.stringify(report),
      flag(report !== null && isOpen(report)),
    ]);
    return { draining: draining === "1" };
  }

  async reportNode(
    nodeId: string,
    incarnation: string,
    report: NodeReport,
    leaseTimeMs: number,
  ): Promise<"ok" | "replaced" | "unknown"> {
    const [answer] = await this.#run("report-node", [
      nodeId,
      incarnation,
      JSON.stringify(report),
      flag(isOpen(report)),
      String(leaseTimeMs),
      shardOf(nodeId),
    ]);
    return answer as "ok" | "replaced" | "unknown";
  }

  async removeNode(nodeId: string, incarnation: string): Promise<void> {
    await this.#run("remove-node", [nodeId, incarnation, shardOf(nodeId)]);
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    const shards = Array.from({ length: NODE_SHARDS }, (_, shard) => this.#run("nodes", [String(shard)]));
    const reply = (await Promise.all(shards)).flat();
    const records: NodeRecord[] = [];
    for (let at = 0; at < reply.length; at += NODE_FIELDS) {
      const [registration, report, draining, registeredAt, reportedAt, alive, calls] = reply.slice(
        at,
        at + NODE_FIELDS,
      );
      records.push({
        ...(JSON.parse(String(registration)) as NodeRegistration),
        ...(JSON.parse(String(report)) as NodeReport),
        draining: draining === "1",
        calls: Number(calls),
        registeredAtUnixMs: Number(registeredAt),
        reportedAtUnixMs: Number(reportedAt),
        alive: alive === "1",
      });
    }
    return records;
  }

  async setDraining(nodeId: string, draining: boolean): Promise<boolean> {
    const [found] = await this.#run("set-draining", [nodeId, flag(draining)]);
    return found === "1";
  }

  // ---- calls

  async reserve(request: ReserveRequest): Promise<ReserveResult> {
    const [kind, ...rest] = await this.#run("reserve", [
      request.callId,
      request.carrier,
      request.carrierCallId,
      request.tenantId,
      request.resellerId,
      String(request.tenantCap),
      String(request.resellerCap),
      String(request.pickOf),
      String(request.reservationMs),
      flag(request.resume),
      String(request.knownEpoch ?? 0),
      request.pii.from,
      request.pii.to,
      String(request.afterEpoch ?? 0),
      ...request.nodeIds,
    ]);
    switch (kind) {
      case "reserved":
      case "existing":
        return { kind, lease: leaseAt(rest, 0) };
      case "refused":
        return { kind, reason: rest[0] as "tenantCap" | "resellerCap" };
      case "full":
        return { kind };
      case "ended":
        return { kind, callId: String(rest[0]) };
      default:
        throw rebuilding();
    }
  }

  async confirm(
    callId: string,
    epoch: number,
    nodeId: string,
    leaseTimeMs: number,
  ): Promise<Lease | "lost" | "unknown"> {
    const [kind, ...rest] = await this.#run("confirm", [callId, String(epoch), nodeId, String(leaseTimeMs)]);
    if (kind === "held") return leaseAt(rest, 0);
    if (kind === "lost" || kind === "unknown") return kind;
    throw rebuilding();
  }

  async claim(
    nodeId: string,
    claims: readonly LeaseClaim[],
    leaseTimeMs: number,
  ): Promise<readonly LeaseVerdict[]> {
    const verdicts: LeaseVerdict[] = [];
    for (let start = 0; start < claims.length; start += CLAIMS_PER_SCRIPT) {
      const some = claims.slice(start, start + CLAIMS_PER_SCRIPT);
      const args = some.flatMap((claim) => [
        claim.callId,
        String(claim.epoch),
        claim.tenantId,
        claim.resellerId,
        claim.carrier,
        claim.carrierCallId,
        flag(claim.live),
      ]);
      const answers = await this.#run("claim", [nodeId, String(leaseTimeMs), ...args]);
      for (const [index, { callId }] of some.entries()) {
        const lostTo = String(answers[index]);
        verdicts.push(
          lostTo === "" ? { callId, kind: "held" } : { callId, kind: "lost", epoch: Number(lostTo) },
        );
      }
    }
    return verdicts;
  }

  async release(callId: string, epoch: number): Promise<boolean> {
    const [released] = await this.#run("release", [callId, String(epoch)]);
    return released === "1";
  }

  async lookUp(callId: string): Promise<Lease | null> {
    const reply = await this.#run("look-up", [callId]);
    return reply.length === 0 ? null : leaseAt(reply, 0);
  }

  async counts(tenantId: string, resellerId: string): Promise<Counts> {
    const [tenantCalls, resellerCalls] = await this.#run("counts", [tenantId, resellerId]);
    return { tenantCalls: Number(tenantCalls), resellerCalls: Number(resellerCalls) };
  }

  async takeExpired(limit: number): Promise<readonly Lease[]> {
    const reply = await this.#run("take-expired", [String(limit)]);
    const leases: Lease[] = [];
    for (let at = 0; at < reply.length; at += LEASE_FIELDS) leases.push(leaseAt(reply, at));
    return leases;
  }

  // ---- fan-out

  async publish(topic: string, message: string): Promise<void> {
    await this.#connection.publish(this.#topicChannel(topic), message);
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<() => void> {
    // Known before it is asked for: a message may come in the same packet as the answer.
    const remove = this.#topics.add(topic, listener);
    const stop = (): void => remove(() => this.#connection.unsubscribe(this.#topicChannel(topic)));
    try {
      await this.#connection.subscribe(this.#topicChannel(topic));
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }

  onRebuild(listener: () => void): () => void {
    return this.#rebuilds.add(listener);
  }

  async ping(): Promise<void> {
    await this.#run("generation", []);
  }

  async close(): Promise<void> {
    this.#connection.close();
    this.#topics.clear();
    this.#rebuilds.clear();
  }

  // ---- inside

  get #rebuildChannel(): string {
    return `${this.#tag}rebuild`;
  }

  #topicChannel(topic: string): string {
    return `${this.#tag}topic:${topic}`;
  }

  /** What the script answers after the generation. */
  async #run(name: ScriptName, args: readonly string[]): Promise<readonly unknown[]> {
    const [generation, ...rest] = await this.#connection.run(this.#scripts[name], `${this.#tag}generation`, [
      this.#unixMs === null ? "" : String(this.#unixMs()),
      randomUUID(),
      String(this.#rebuildMs),
      this.#unixMs === null ? String(OUTAGE_MS) : "0",
      String(CALL_KEPT_MS),
      String(ENDED_KEPT_MS),
      String(NODE_KEPT_MS),
      ...args,
    ]);
    this.#noteGeneration(String(generation));
    return rest;
  }

  #onMessage(channel: string, message: string): void {
    if (channel === this.#rebuildChannel) {
      this.#noteGeneration(message);
      return;
    }
    this.#topics.of(channel.slice(this.#topicChannel("").length))?.tell(message);
  }

  /** R1. A late reply of an older generation is of one that was seen. */
  #noteGeneration(generation: string): void {
    if (this.#generations.includes(generation)) return;
    this.#generations.push(generation);
    // The first is where we came in.
    if (this.#generations.length === 1) return;
    if (this.#generations.length > GENERATIONS_KEPT) this.#generations.shift();
    this.#log.warn({ generation }, "redis has lost its memory; nodes are asked to tell again");
    this.#rebuilds.tell();
  }
}

/** The same for every control plane, of whatever version: records are found by it. */
function shardOf(nodeId: string): string {
  let hash = 0;
  for (let index = 0; index < nodeId.length; index++) hash = (hash * 31 + nodeId.charCodeAt(index)) >>> 0;
  return String(hash % NODE_SHARDS);
}

/** As report-node has it: takes calls. */
function isOpen({ ready, stopping }: NodeReport): boolean {
  return ready && !stopping;
}

function flag(value: boolean): string {
  return value ? "1" : "0";
}

function rebuilding(): LumentraError {
  return new LumentraError("DIRECTORY_REBUILDING", "nodes are telling what they hold; try again in a moment");
}

function leaseAt(reply: readonly unknown[], at: number): Lease {
  const text = (index: number): string => String(reply[at + index]);
  return {
    callId: text(0),
    epoch: Number(text(1)),
    nodeId: text(2),
    tenantId: text(3),
    resellerId: text(4),
    carrier: text(5),
    carrierCallId: text(6),
    live: text(7) === "1",
    resumed: text(8) === "1",
    expiresAtUnixMs: Number(text(9)),
    pii: { from: text(10), to: text(11) },
  };
}
