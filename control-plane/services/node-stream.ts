/**
 * One node's stream: what it says goes to the directory, what it must hear comes from there.
 *
 * Stages: hello → welcome, then reports and leases in the order they come, commands whenever they come. A node that
 * ends its side said goodbye and is removed; one whose stream breaks is left to its lease time, since it may be on
 * its way to another control plane.
 *
 * Invariants
 * N1 One message is worked on at a time; the next is read when it is done, so a node cannot pile up work here.
 * N2 While the directory is away the stream stays: what is lost of reports comes again in a second, and what the
 *    directory has forgotten by then is told again (N3).
 * N3 A directory that does not know the node is told everything: registration, an operator's drain, report, and all
 *    leases anew.
 * N4 A lease is renewed by the node's own list of what it holds, asked for three times per lease time: what a node
 *    has forgotten to release expires.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type {
  ConnectNodeRequest__Output,
  ConnectNodeResponse,
  NodeHello__Output,
  NodeLeases__Output,
  NodeReport__Output,
} from "#proto";
import type { Clock, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { toDuration, toTimestamp, violated } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type { ClusterKeys, NodeCredentials, NodeIdentity } from "../auth/index.js";
import type { Directory, LeaseClaim, NodeRegistration, NodeReport, Rung } from "../directory/directory.js";
import type { NodeCommand, NodeCommands } from "./node-commands.js";
import { readEach } from "./streams.js";
import type { TenantFactsCache } from "./tenant-facts.js";

/** Commands a node has not read; a drain of a large node hangs up this many calls at most. */
const UNREAD_COMMANDS_MAX = 2_000;
/** NodeLeases' own bound. */
const LEASES_PER_PART = 1_000;
const CAPACITY_MAX = 100_000;
/** Of a credential's life, when it is renewed: two more tries fit in. */
const RENEW_AT = 0.5;
/** How soon nodes hear of new keys of media tokens, which change daily and overlap. */
const CONFIG_LOOK_MS = 60_000;
/** N4. */
const LEASES_ASKED_PER_LEASE_TIME = 3;
/** Lease times without a message after which the stream itself is given up: the node is long lost. */
const SILENT_LEASE_TIMES = 3;

export interface NodeStreamDeps {
  readonly directory: Directory;
  readonly tenants: TenantFactsCache;
  readonly commands: NodeCommands;
  readonly credentials: NodeCredentials;
  /** Keys of media tokens derive from it. */
  readonly clusterKeys: ClusterKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly controlPlaneId: string;
  readonly leaseTimeMs: number;
  readonly reportIntervalMs: number;
}

/** What every node is told when it registers, in its welcome, and when it changes. */
export function nodeConfig({
  clusterKeys,
  clock,
  leaseTimeMs,
  reportIntervalMs,
}: Pick<NodeStreamDeps, "clusterKeys" | "clock" | "leaseTimeMs" | "reportIntervalMs">) {
  return {
    reportInterval: toDuration(reportIntervalMs),
    leaseTime: toDuration(leaseTimeMs),
    mediaTokenKeys: [...clusterKeys.mediaTokenKeys(clock.unixMs())],
  };
}

export class NodeStream {
  readonly #deps: NodeStreamDeps;
  readonly #identity: NodeIdentity;
  readonly #call: ServerDuplexStream<ConnectNodeRequest__Output, ConnectNodeResponse>;
  readonly #log: Logger;
  readonly #failed: Promise<never>;
  #fail: (error: Error) => void = () => {};
  #registration: NodeRegistration | null = null;
  #lastReport: NodeReport | null = null;
  #detach: (() => void) | null = null;
  #directoryAway = false;
  /** What is still under way then sets nothing up that nobody takes away again. */
  #isOver = false;
  /** By an operator; a directory that lost its memory is told it again. */
  #isDraining = false;
  #sentKeys = "";
  /** When leases were last asked for, or came unasked. */
  #leasesAtMs = Number.NEGATIVE_INFINITY;
  readonly #timers: { renew: TimerHandle | null; config: TimerHandle | null; silence: TimerHandle | null } = {
    renew: null,
    config: null,
    silence: null,
  };

  constructor(
    deps: NodeStreamDeps,
    identity: NodeIdentity,
    call: ServerDuplexStream<ConnectNodeRequest__Output, ConnectNodeResponse>,
  ) {
    this.#deps = deps;
    this.#identity = identity;
    this.#call = call;
    this.#log = deps.log.child({ nodeId: identity.nodeId });
    this.#failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    this.#failed.catch(() => {}); // run() hears it; before and after, nobody need
  }

  /** @throws LumentraError NODE_REPLACED, REQUEST_INVALID, WATCHER_TOO_SLOW, DIRECTORY_UNAVAILABLE */
  async run(): Promise<void> {
    try {
      this.#watchSilence();
      const outcome = await Promise.race([
        readEach(this.#call, (message) => this.#take(message)),
        this.#failed,
      ]);
      if (outcome === "ended" && this.#registration !== null) {
        this.#log.info({}, "node said goodbye");
        await this.#deps.directory.removeNode(this.#identity.nodeId, this.#identity.incarnation);
      } else this.#log.warn({}, "node's stream broke");
    } finally {
      this.#isOver = true;
      this.#detach?.();
      for (const timer of Object.values(this.#timers)) timer?.cancel();
    }
  }

  /** The directory lost its memory (N3). Never rejects. */
  async rebuild(): Promise<void> {
    if (this.#registration === null) return;
    try {
      await this.#tellAll(this.#registration);
    } catch (error) {
      this.#log.warn({ error }, "the directory could not be told again; the next report tries");
    }
  }

  /** Ends the stream: this process stops, and the node should connect to another. */
  end(error: Error): void {
    this.#fail(error);
  }

  async #take(message: ConnectNodeRequest__Output): Promise<void> {
    if (this.#isOver) return;
    this.#watchSilence();
    if (this.#registration === null) {
      if (message.message !== "hello" || !message.hello)
        throw violated([{ field: "hello", description: "must come first" }]);
      return this.#greet(message.hello);
    }
    const isHeard = await this.#unlessAway(async () => {
      if (message.report) await this.#report(this.#registration!, reportOf(message.report));
      else if (message.leases) await this.#claim(message.leases);
      else if (message.hello) throw violated([{ field: "hello", description: "comes once" }]);
    });
    if (!isHeard && message.leases) this.#leasesAtMs = Number.NEGATIVE_INFINITY;
  }

  async #greet(hello: NodeHello__Output): Promise<void> {
    const { directory, commands, leaseTimeMs, controlPlaneId, clock } = this.#deps;
    const registration = registrationOf(this.#identity, hello);
    this.#lastReport = hello.report === null ? null : reportOf(hello.report);
    const { draining } = await directory.registerNode(registration, leaseTimeMs, this.#lastReport);
    if (this.#isOver) return;
    this.#registration = registration;
    this.#isDraining = draining;
    const detach = await commands.attach(registration.nodeId, (command) => this.#command(command));
    if (this.#isOver) return detach();
    this.#detach = detach;
    const config = nodeConfig(this.#deps);
    this.#sentKeys = keysOf(config);
    this.#send({ welcome: { config, draining, controlPlaneId } });
    this.#timers.config = clock.setTimer(CONFIG_LOOK_MS, () => this.#lookAtConfig());
    void this.#renew();
    this.#log.info({ region: hello.region, version: hello.version, draining }, "node is here");
  }

  async #report(registration: NodeRegistration, report: NodeReport): Promise<void> {
    const { directory, leaseTimeMs } = this.#deps;
    this.#lastReport = report;
    const { nodeId, incarnation } = registration;
    const verdict = await directory.reportNode(nodeId, incarnation, report, leaseTimeMs);
    if (verdict === "replaced")
      throw new LumentraError("NODE_REPLACED", `another node registered as ${nodeId}`);
    if (verdict === "unknown") await this.#tellAll(registration);
    else if (this.#deps.clock.nowMs() - this.#leasesAtMs >= leaseTimeMs / LEASES_ASKED_PER_LEASE_TIME)
      this.#askForLeases();
  }

  #askForLeases(): void {
    this.#leasesAtMs = this.#deps.clock.nowMs();
    this.#send({ reportLeases: {} });
  }

  async #tellAll(registration: NodeRegistration): Promise<void> {
    const { directory, leaseTimeMs } = this.#deps;
    const { draining } = await directory.registerNode(registration, leaseTimeMs, this.#lastReport);
    if (this.#isDraining && !draining) await directory.setDraining(registration.nodeId, true);
    this.#askForLeases();
  }

  async #claim({ leases, last }: NodeLeases__Output): Promise<void> {
    const { directory, tenants, clock, leaseTimeMs } = this.#deps;
    if (last) this.#leasesAtMs = clock.nowMs();
    if (leases.length > LEASES_PER_PART)
      throw violated([{ field: "leases.leases", description: `has more than ${LEASES_PER_PART}` }]);
    const claims: LeaseClaim[] = await Promise.all(
      leases.map(async ({ callId, epoch, tenantId, carrier, carrierCallId, live }) => {
        // A claim of what the directory knows only renews it; the reseller matters when it has forgotten.
        const resellerId = (await tenants.resellerOf(tenantId)) ?? "";
        return { callId, epoch, tenantId, resellerId, carrier, carrierCallId, live };
      }),
    );
    if (claims.length === 0) return;
    for (const verdict of await directory.claim(this.#identity.nodeId, claims, leaseTimeMs)) {
      if (verdict.kind === "lost")
        this.#send({ leaseLost: { callId: verdict.callId, epoch: verdict.epoch } });
    }
  }

  /** N2. False: the directory is away. */
  async #unlessAway(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      this.#directoryAway = false;
      return true;
    } catch (error) {
      if (!(error instanceof LumentraError) || error.code !== "DIRECTORY_UNAVAILABLE") throw error;
      if (!this.#directoryAway)
        this.#log.warn({ error }, "the directory is away; the node's reports are not heard");
      this.#directoryAway = true;
      return false;
    }
  }

  #command(command: NodeCommand): boolean {
    switch (command.kind) {
      case "drain":
        this.#isDraining = command.draining;
        return this.#send({ drain: { draining: command.draining } });
      case "hangUp":
        return this.#send({ hangUp: { callId: command.callId, reason: command.reason } });
      case "leaseLost":
        return this.#send({ leaseLost: { callId: command.callId, epoch: command.epoch } });
      default:
        return this.#send({ reportLeases: {} });
    }
  }

  #send(message: ConnectNodeResponse): boolean {
    if (this.#call.cancelled || this.#call.destroyed || this.#call.writableEnded) return false;
    if (this.#call.writableLength >= UNREAD_COMMANDS_MAX) {
      this.#fail(new LumentraError("WATCHER_TOO_SLOW", "the node does not read its commands"));
      return false;
    }
    this.#call.write(message);
    return true;
  }

  #lookAtConfig(): void {
    const config = nodeConfig(this.#deps);
    const keys = keysOf(config);
    if (keys !== this.#sentKeys) this.#send({ config });
    this.#sentKeys = keys;
    this.#timers.config = this.#deps.clock.setTimer(CONFIG_LOOK_MS, () => this.#lookAtConfig());
  }

  /** A fresh credential at once (the one it came with may be nearly over), then before each expires. */
  async #renew(): Promise<void> {
    const { credentials, clock } = this.#deps;
    let lifeMs = CONFIG_LOOK_MS;
    try {
      const { credential, expiresAt } = await credentials.issue(this.#identity);
      this.#send({ credential: { credential, expireTime: toTimestamp(expiresAt) } });
      lifeMs = expiresAt.getTime() - clock.unixMs();
    } catch (error) {
      this.#log.error({ error }, "the node's credential could not be renewed; trying again");
    }
    if (this.#isOver) return;
    this.#timers.renew = clock.setTimer(lifeMs * RENEW_AT, () => void this.#renew());
  }

  #watchSilence(): void {
    const { clock, leaseTimeMs } = this.#deps;
    this.#timers.silence?.cancel();
    this.#timers.silence = clock.setTimer(leaseTimeMs * SILENT_LEASE_TIMES, () =>
      this.#fail(new LumentraError("DEADLINE_EXCEEDED", "the node has said nothing for three lease times")),
    );
  }
}

function keysOf({ mediaTokenKeys }: ReturnType<typeof nodeConfig>): string {
  return Buffer.concat(mediaTokenKeys).toString("base64");
}

function identityOf({ nodeId, incarnation }: NodeIdentity): NodeIdentity {
  return { nodeId, incarnation }; // a principal has more, which is not the directory's
}

const REGION = /^[a-z0-9][a-z0-9-]{0,62}$/;

function registrationOf(identity: NodeIdentity, hello: NodeHello__Output): NodeRegistration {
  const { region, version, mediaUrl, capacityCalls } = hello;
  const violations = [];
  if (!REGION.test(region))
    violations.push({ field: "hello.region", description: "must be 1 to 63 of a-z, 0-9 and dashes" });
  if (version.length > 100)
    violations.push({ field: "hello.version", description: "is longer than 100 characters" });
  if (!URL.canParse(mediaUrl) || !/^wss?:$/.test(new URL(mediaUrl).protocol))
    violations.push({ field: "hello.media_url", description: "must be a ws:// or wss:// URL" });
  if (capacityCalls < 1 || capacityCalls > CAPACITY_MAX)
    violations.push({ field: "hello.capacity_calls", description: `must be 1 to ${CAPACITY_MAX}` });
  if (violations.length > 0) throw violated(violations);
  return { ...identityOf(identity), region, version, mediaUrl, capacityCalls };
}

const RUNGS: Readonly<Record<string, Rung>> = {
  PRESSURE_RUNG_NO_SPECULATION: 1,
  PRESSURE_RUNG_NO_OUTBOUND: 2,
  PRESSURE_RUNG_PLACE_ELSEWHERE: 3,
  PRESSURE_RUNG_OVERFLOW: 4,
};

function reportOf({ ready, draining, pressure }: NodeReport__Output): NodeReport {
  return {
    ready,
    stopping: draining,
    pressure: {
      rung: RUNGS[pressure?.rung ?? ""] ?? 0,
      pacingLagMs: pressure?.pacingLagMs ?? 0,
      eventLoopDelayMs: pressure?.eventLoopDelayMs ?? 0,
      slotUsage: pressure?.slotUsage ?? 0,
      providerUsage: pressure?.providerUsage ?? 0,
    },
  };
}
