/**
 * A media node: edge, shards and what joins them, from settings to a serving process and back.
 */
import { type Clock, SystemClock, systemRandom } from "#runtime/actor";
import { ShardPool } from "#runtime/cluster";
import { Edge } from "#runtime/edge";
import { createLogger, createMetrics, type Logger } from "#runtime/telemetry";
import { type CallShardConfig, type CallShardData, readMessage, trimVoiceFiles } from "#actors/call";
import { FileTenantDirectory } from "#actors/tenants";
import type { ControlSide, ControlSideOptions } from "./control/control-side.js";
import { LocalPlacement } from "./control/placement.js";
import { ApologyStore } from "./apologies.js";
import { carrierAccounts } from "./carrier-accounts.js";
import { JournalStore } from "./journal-store.js";
import { MessageCards } from "./message-cards.js";
import { nodeIdIn, softwareVersion } from "./identity.js";
import { missingFor, providerLimits, providerSettings, requireProviders } from "./provider-settings.js";
import { NodePressureSource, Pressure, pressureThresholds } from "./pressure/index.js";
import type { Settings } from "./settings.js";
import { Switchboard } from "./switchboard.js";

/** Telling the last calls goodbye takes a few seconds; the process waits that long after the grace. */
const AFTER_GRACE_MS = 3_000;

/** Loading the vendors' clients on a busy machine takes seconds, and so does making the tenants' phrases. */
const SHARD_READY_TIMEOUT_MS = 30_000;
const SHARD_ENTRY = new URL("./shard.js", import.meta.url);

/**
 * When a media socket has closed the carrier asks what comes next; a node that is gone by then leaves the
 * caller with the carrier's error message. Carriers ask within a round trip.
 */
const AFTER_MEDIA_MS = 1_000;

/**
 * Of a shard's heap, where objects begin: three semispaces, as V8 counts. Of its own 48 MiB two are touched to the last
 * page as soon as a few calls talk, and hold garbage: 330 KiB a call at a hundred of them. What a call makes is dead
 * within milliseconds or lives for a turn, so that 6 take no more time (docs/BENCHMARKS.md).
 */
const SHARD_YOUNG_MIB = 6;

export interface RunningNode {
  readonly edgePort: number;
  readonly adminPort: number;
  readonly log: Logger;
  /**
   * No new calls from now on; resolves when the live ones are gone, or when the grace has run out: those
   * that are left are told goodbye shortly before.
   */
  drain(graceMs: number): Promise<void>;
  /** Releases everything now. Idempotent. */
  close(): Promise<void>;
}

/**
 * @throws LumentraError SETTING_INVALID, TENANT_CONFIG_INVALID, SHARD_START_FAILED or EDGE_LISTEN_FAILED;
 * nothing is left behind then.
 * @param shardEntry the shards' entry file; another one only in tests of shards that die.
 */
export async function startNode(settings: Settings, shardEntry = SHARD_ENTRY): Promise<RunningNode> {
  const clock = new SystemClock();
  const logOptions = { level: settings.LUMENTRA_LOG_LEVEL, logPii: settings.LUMENTRA_LOG_PII } as const;
  const log = createLogger({ ...logOptions, name: "node" });
  // What can be wrong with the settings is found out before anything is opened.
  const providers = providerSettings(settings);
  const shardData: CallShardData = {
    providers,
    providerLimits: providerLimits(settings),
    dataDirectory: settings.LUMENTRA_DATA_DIR,
    log: logOptions,
  };
  const metrics = createMetrics({ thread: "main", processMetrics: true });
  metrics.onCollect(() => metrics.timers.set({ thread: "main" }, clock.timerCount));
  const nodeId = settings.LUMENTRA_NODE_ID ?? nodeIdIn(settings.LUMENTRA_DATA_DIR);
  const local = new LocalPlacement(clock);
  const control = await openControlSide(settings, { clock, log, metrics, local, nodeId });
  const tenants =
    control?.tenants ??
    new FileTenantDirectory({
      path: settings.LUMENTRA_TENANTS_FILE,
      clock,
      log,
      check: (found) => requireProviders(found, providers),
    });
  const carriers = carrierAccounts(settings);
  const journals = new JournalStore();
  const startOf = (callId: string) => journals.ends(callId)?.first ?? null;
  const cards = control === null ? new MessageCards(settings.LUMENTRA_DATA_DIR, startOf, log) : null;
  const switchboard = new Switchboard({
    clock,
    log,
    metrics,
    nodeId,
    tenants,
    placement: control?.placement ?? local,
    resumeGraceMs: settings.LUMENTRA_RESUME_GRACE_S * 1_000,
    readJournal: control?.readJournal ?? null,
    onJournal: control?.onJournal ?? cards?.onJournal ?? null,
    journals,
    apologies: new ApologyStore(),
    readMessage: (callId) => readMessage(settings.LUMENTRA_DATA_DIR, callId),
    canServe: (tenant) => missingFor(tenant, providers) === null,
    accounts: Object.fromEntries(carriers.map(({ carrier, account }) => [carrier.name, account])),
  });
  const pool = new ShardPool(
    {
      shardCount: settings.LUMENTRA_SHARDS,
      slotsPerShard: settings.LUMENTRA_CALLS_PER_SHARD,
      spare: settings.LUMENTRA_SPARE_SHARD,
      resourceLimits: {
        maxYoungGenerationSizeMb: SHARD_YOUNG_MIB,
        ...(settings.LUMENTRA_SHARD_HEAP_MIB !== undefined && {
          maxOldGenerationSizeMb: settings.LUMENTRA_SHARD_HEAP_MIB,
        }),
      },
      entry: shardEntry,
      workerData: shardData,
      readyTimeoutMs: SHARD_READY_TIMEOUT_MS,
      clock,
      log,
    },
    switchboard,
  );
  const edge = new Edge(
    {
      host: settings.LUMENTRA_EDGE_HOST,
      port: settings.LUMENTRA_EDGE_PORT,
      sharedPort: settings.LUMENTRA_SHARED_PORT,
      adminHost: settings.LUMENTRA_ADMIN_HOST,
      adminPort: settings.LUMENTRA_ADMIN_PORT,
      maxSockets: settings.LUMENTRA_MAX_SOCKETS,
      ...(settings.LUMENTRA_PUBLIC_URL !== undefined && { publicUrl: settings.LUMENTRA_PUBLIC_URL }),
      ...(settings.LUMENTRA_WEBHOOK_URL !== undefined && { webhookUrl: settings.LUMENTRA_WEBHOOK_URL }),
      carriers: carriers.map(({ carrier }) => carrier),
    },
    { clock, log, metrics, delegate: switchboard, admin: switchboard.admin, nap: pool.edgeNap },
  );
  const pressure = new Pressure({
    clock,
    log,
    metrics,
    source: new NodePressureSource(pool, metrics.edgePacingErrorMs),
    thresholds: pressureThresholds(settings),
    onRung: (rung) => {
      pool.setPressure(rung);
      control?.reportNow();
    },
  });
  switchboard.connect(pool, edge, pressure);
  const configure = (): void => {
    for (const tenant of tenants.tenants) {
      const missing = missingFor(tenant, providers);
      if (missing !== null) log.error({ tenantId: tenant.id, code: "PROVIDER_NOT_SET_UP" }, missing);
    }
    pool.configure({ tenants: tenants.tenants } satisfies CallShardConfig);
  };
  tenants.onChange(configure);
  configure();

  let trimming: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      tenants.close();
      pressure.close();
      await edge.close();
      await pool.close();
      switchboard.close();
      await control?.close();
      await cards?.settled();
      await trimming;
      metrics.close();
    })();
    return closing;
  };

  try {
    await pool.start();
    // After the shards have read what their tenants need: that counts as use.
    trimming = trimVoiceFiles(settings.LUMENTRA_DATA_DIR, clock.unixMs(), log);
    const { port, adminPort } = await edge.listen();
    pressure.start();
    control?.connect(edge.publicUrl.replace(/^http/, "ws"), {
      held: () => switchboard.held(),
      heldCount: () => switchboard.heldCount,
      isStopping: () => switchboard.isStopping,
      isReady: () => switchboard.admin.isReady,
      pressure: () => pressure.current(),
      onDrain: (draining) => switchboard.setDraining(draining),
      onHangUp: (callId) => switchboard.endCall(callId, { kind: "operatorHungUp" }),
      onLeaseLost: (callId, epoch) => switchboard.leaseLost(callId, epoch),
      onMediaTokenKeys: (keys) => edge.setMediaTokenKeys(keys),
    });
    return {
      edgePort: port,
      adminPort,
      log,
      async drain(graceMs) {
        const deadlineMs = clock.nowMs() + graceMs;
        edge.beginDrain();
        pool.beginDrain(deadlineMs);
        const emptied = switchboard.drain();
        control?.reportNow();
        await Promise.race([emptied, sleep(clock, graceMs + AFTER_GRACE_MS)]);
        await sleep(clock, AFTER_MEDIA_MS);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Null: the node stands alone. */
async function openControlSide(
  settings: Settings,
  deps: Pick<ControlSideOptions, "clock" | "log" | "metrics" | "local" | "nodeId">,
): Promise<ControlSide | null> {
  const target = settings.LUMENTRA_CONTROL_PLANE;
  if (target === undefined) return null;
  // gRPC and the contracts are a third of what a node loads: one that stands alone does without.
  const control = await import("./control/control-side.js");
  return control.ControlSide.open({
    ...deps,
    random: systemRandom,
    target,
    security: {
      caFile: settings.LUMENTRA_CONTROL_PLANE_CA_FILE,
      certFile: settings.LUMENTRA_CONTROL_PLANE_CERT_FILE,
      keyFile: settings.LUMENTRA_CONTROL_PLANE_KEY_FILE,
      insecure: settings.LUMENTRA_INSECURE,
    },
    bootstrapToken: settings.LUMENTRA_BOOTSTRAP_TOKEN ?? "",
    region: settings.LUMENTRA_REGION,
    version: softwareVersion(),
    dataDirectory: settings.LUMENTRA_DATA_DIR,
    spoolMaxBytes: settings.LUMENTRA_SPOOL_MAX_MIB * 1024 * 1024,
    capacityCalls: settings.LUMENTRA_SHARDS * settings.LUMENTRA_CALLS_PER_SHARD,
  });
}

function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(delayMs, resolve));
}
