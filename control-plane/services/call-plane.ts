/**
 * Everything of a control plane that has to do with calls and nodes, put together: what the services share, and what
 * runs without being asked.
 */
import type { Registry } from "prom-client";
import type {
  CallServiceHandlers,
  JournalServiceHandlers,
  NodeServiceHandlers,
  PlacementServiceHandlers,
} from "#proto";
import type { Clock, Random } from "#runtime/actor";
import type { Logger } from "#runtime/telemetry";
import type { ClusterKeys, NodeCredentials } from "../auth/index.js";
import type { Directory } from "../directory/directory.js";
import { Placer, Sweeper } from "../placement/index.js";
import type { ServiceOf } from "../server/index.js";
import type { Store } from "../store/store.js";
import { CallFeeds } from "./call-feed.js";
import { CallHints } from "./call-hints.js";
import { registerCallMetrics } from "./call-metrics.js";
import { createCallService } from "./call-service.js";
import { CallsFeed } from "./calls-feed.js";
import { createJournalService } from "./journal-service.js";
import { NodeCommands } from "./node-commands.js";
import { createNodeService } from "./node-service.js";
import { createPlacementService } from "./placement-service.js";
import type { PageTokens } from "./requests.js";
import { TenantFactsCache } from "./tenant-facts.js";

/** How often nodes report, by the proto. */
const REPORT_INTERVAL_MS = 1_000;

export interface CallPlaneOptions {
  readonly store: Store;
  readonly directory: Directory;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Unique among the control planes of a deployment, new with each start. */
  readonly controlPlaneId: string;
  readonly credentials: NodeCredentials;
  readonly clusterKeys: ClusterKeys;
  readonly pages: PageTokens;
  /** Undefined: nodes register by certificate alone. */
  readonly bootstrapToken: string | undefined;
  /** How long a node, and its calls' leases, live without a report. */
  readonly leaseTimeMs: number;
  /** How long a placed call waits for its media. */
  readonly reservationMs: number;
  /** How long a call that lost its leg or node can be resumed. */
  readonly resumeGraceMs: number;
  /** @default REPORT_INTERVAL_MS */
  readonly reportIntervalMs?: number;
  /** Between sweeps of expired leases. @default 1 s */
  readonly sweepMs?: number;
  /** Between looks through live calls for those without a lease. @default 30 s */
  readonly reconcileMs?: number;
  /** How long a watcher of a call may leave what was sent unread. @default 10 s */
  readonly watcherPatienceMs?: number;
  /** Between lists of calls that go on, for watchers that missed a hint. @default 10 s */
  readonly watchRelistMs?: number;
  /** Where its metrics are registered. @default nowhere */
  readonly registry?: Registry;
}

export interface CallPlane {
  readonly services: {
    readonly NodeService: ServiceOf<NodeServiceHandlers>;
    readonly PlacementService: ServiceOf<PlacementServiceHandlers>;
    readonly CallService: ServiceOf<CallServiceHandlers>;
    readonly JournalService: ServiceOf<JournalServiceHandlers>;
  };
  readonly placer: Placer;
  readonly sweeper: Sweeper;
  /** Before the server listens. @throws LumentraError DIRECTORY_UNAVAILABLE */
  start(): Promise<void>;
  /** Nodes are sent elsewhere, the sweep under way is finished. Before store and directory are closed. */
  close(): Promise<void>;
}

export function createCallPlane(options: CallPlaneOptions): CallPlane {
  const { store, directory, clock, random, log, controlPlaneId, leaseTimeMs } = options;
  const tenants = new TenantFactsCache({ store, clock, log });
  const commands = new NodeCommands({ directory, controlPlaneId, clock, log });
  const hints = new CallHints({ directory, controlPlaneId, log });
  const placer = new Placer({ directory, clock, random, log, reservationMs: options.reservationMs });
  const sweeper = new Sweeper({
    directory,
    store,
    clock,
    log,
    resumeGraceMs: options.resumeGraceMs,
    onLost: (call) => hints.announce(call),
    ...(options.sweepMs !== undefined && { sweepMs: options.sweepMs }),
    ...(options.reconcileMs !== undefined && { reconcileMs: options.reconcileMs }),
  });
  const nodes = createNodeService({
    store,
    pages: options.pages,
    directory,
    tenants,
    commands,
    credentials: options.credentials,
    clusterKeys: options.clusterKeys,
    bootstrapToken: options.bootstrapToken,
    clock,
    log,
    controlPlaneId,
    leaseTimeMs,
    reportIntervalMs: options.reportIntervalMs ?? REPORT_INTERVAL_MS,
  });
  if (options.registry !== undefined)
    registerCallMetrics(options.registry, { placer, sweeper, connectedNodes: () => nodes.connectedCount() });
  return {
    services: {
      NodeService: nodes.handlers,
      PlacementService: createPlacementService({
        store,
        directory,
        placer,
        tenants,
        commands,
        clock,
        log,
        leaseTimeMs,
      }),
      CallService: createCallService({
        store,
        pages: options.pages,
        directory,
        commands,
        hints,
        callFeeds: new CallFeeds({ store, hints, clock }),
        callsFeed: new CallsFeed({ store, hints, clock, log, relistMs: options.watchRelistMs }),
        clock,
        ...(options.watcherPatienceMs !== undefined && { watcherPatienceMs: options.watcherPatienceMs }),
      }),
      JournalService: createJournalService({ store, log, onStored: (call) => hints.announce(call) }),
    },
    placer,
    sweeper,
    async start() {
      tenants.start();
      await commands.start();
      await placer.start();
      sweeper.start();
    },
    async close() {
      nodes.close();
      placer.close();
      tenants.close();
      commands.close();
      await sweeper.close();
    },
  };
}
