/**
 * All of the control plane that a node has: connection, tenants, placement and the journals' way out, made from
 * settings and taken down again in order.
 *
 *   open      the spool and the tenants' cache are read; the node registers, and hears of its tenants if it can
 *   connect   the node serves: the stream says so, calls may be placed here, journals go out
 *   close     what was written is handed over as far as it goes in time; the rest is the next process's
 */
import { join } from "node:path";
import type { NodeReport, PressureRung } from "#proto";
import type { Clock, Random } from "#runtime/actor";
import type { ClientSecurity } from "#runtime/rpc";
import type { Logger, Metrics } from "#runtime/telemetry";
import { type JournalEvent, journalEventFromProto } from "#actors/journal";
import type { PressureReport } from "../pressure/index.js";
import { ControlConnection } from "./connection.js";
import type { HeldCall } from "./held-call.js";
import { JournalSender } from "./journal-sender.js";
import { JournalSpool } from "./journal-spool.js";
import type { LocalPlacement } from "./placement.js";
import { RemotePlacement } from "./remote-placement.js";
import { ControlTenants } from "./tenants.js";
import { whileUnreachable } from "./while-unreachable.js";

/** At start: longer than a control plane takes to answer, short enough to serve from the cache when none does. */
const FIRST_SYNC_MS = 3_000;
/** Before a journal is read back: the node's own last words of the call must be in it. */
const OWN_EVENTS_MS = 1_500;
/** Of a page of a journal; as long as the RPC may take at all. */
const READ_JOURNAL_MS = 5_000;
/** At the end: handing the last events over takes a round trip or two. */
const LAST_EVENTS_MS = 2_000;
const LAST_EVENTS_LOOK_MS = 20;

export interface ControlSideOptions {
  readonly target: string;
  readonly security: ClientSecurity;
  readonly bootstrapToken: string;
  readonly nodeId: string;
  readonly region: string;
  readonly version: string;
  readonly dataDirectory: string;
  readonly spoolMaxBytes: number;
  readonly capacityCalls: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly local: LocalPlacement;
}

/** What the control plane asks of the node it serves. */
export interface ServedNode {
  readonly held: () => Iterable<HeldCall>;
  readonly heldCount: () => number;
  readonly isStopping: () => boolean;
  readonly isReady: () => boolean;
  readonly pressure: () => PressureReport;
  readonly onDrain: (draining: boolean) => void;
  readonly onHangUp: (callId: string) => void;
  readonly onLeaseLost: (callId: string, epoch: number) => void;
  readonly onMediaTokenKeys: (keys: readonly Uint8Array[]) => void;
}

const RUNGS: readonly PressureRung[] = [
  "PRESSURE_RUNG_UNSPECIFIED",
  "PRESSURE_RUNG_NO_SPECULATION",
  "PRESSURE_RUNG_NO_OUTBOUND",
  "PRESSURE_RUNG_PLACE_ELSEWHERE",
  "PRESSURE_RUNG_OVERFLOW",
];

export class ControlSide {
  readonly tenants: ControlTenants;
  readonly placement: RemotePlacement;
  readonly #options: ControlSideOptions;
  readonly #connection: ControlConnection;
  readonly #spool: JournalSpool;
  readonly #sender: JournalSender;
  #served: ServedNode | null = null;
  /** As told last; null: no control plane has been heard. */
  #mediaTokenKeys: readonly Uint8Array[] | null = null;
  #mediaUrl = "";

  /** Use `open`. */
  private constructor(
    options: ControlSideOptions,
    openSpool: (isLive: (callId: string) => boolean) => JournalSpool,
  ) {
    this.#options = options;
    const { clock, random, log, metrics, local, nodeId, region } = options;
    const onLeaseLost = (callId: string, epoch: number): void => this.#served?.onLeaseLost(callId, epoch);
    this.#connection = new ControlConnection({
      ...options,
      hello: () => ({
        region,
        version: options.version,
        mediaUrl: this.#mediaUrl,
        capacityCalls: options.capacityCalls,
      }),
      report: () => this.#report(),
      held: () => this.#served?.held() ?? [],
      obeys: {
        onDrain: (draining) => this.#served?.onDrain(draining),
        onHangUp: (callId, reason) => {
          log.info({ callId, reason }, "an operator hangs up");
          this.#served?.onHangUp(callId);
        },
        onLeaseLost,
        onMediaTokenKeys: (keys) => {
          this.#mediaTokenKeys = keys;
          this.#served?.onMediaTokenKeys(keys);
        },
        onUp: () => {
          this.tenants.watch();
          this.#sender.kick();
        },
        onReplaced: () => this.#served?.onDrain(true),
      },
    });
    const { rpc } = this.#connection;
    this.tenants = new ControlTenants({
      path: join(options.dataDirectory, "tenants-cache.json"),
      rpc,
      clock,
      random,
      log,
      metrics,
    });
    this.placement = new RemotePlacement({
      local,
      rpc,
      isUp: () => this.#connection.isUp,
      nodeId,
      region,
      clock,
      onLeaseLost,
      onUnknown: () => this.#connection.tellLeases(),
      log,
    });
    this.#spool = openSpool((callId) => this.#isHeld(callId));
    this.#sender = new JournalSender({
      spool: this.#spool,
      clock,
      random,
      log,
      metrics,
      connect: () => rpc.connect("JournalService", "AppendJournal"),
      onLeaseLost: (callId, epoch) => onLeaseLost(callId, epoch + 1),
    });
    metrics.onCollect(() => {
      const oldestUnixMs = this.#spool.oldestUnixMs();
      metrics.spoolBytes.set(this.#spool.bytes);
      metrics.spoolEvents.set(this.#spool.eventCount);
      metrics.spoolOldestAgeMs.set(oldestUnixMs === null ? 0 : Math.max(0, clock.unixMs() - oldestUnixMs));
    });
  }

  /**
   * Knows its tenants afterwards, from the control plane or from the cache, or none.
   * @throws LumentraError TLS_REQUIRED, SETTING_INVALID; the disk's error when there can be no spool
   */
  static async open(options: ControlSideOptions): Promise<ControlSide> {
    // The spool asks which calls live, which is known only to what is made around it.
    let isLive: (callId: string) => boolean = () => true;
    const { dataDirectory, spoolMaxBytes, clock, log, metrics } = options;
    const spool = await JournalSpool.open({
      directory: join(dataDirectory, "spool"),
      maxBytes: spoolMaxBytes,
      clock,
      log,
      metrics,
      isLive: (callId) => isLive(callId),
    });
    const side = new ControlSide(options, (held) => {
      isLive = held;
      return spool;
    });
    const isKnown = await side.tenants.loadCache();
    const isRegistered = await side.#connection.register();
    if (isRegistered) {
      side.tenants.watch();
      // A cache serves at once; what has changed since is a moment away.
      if (!isKnown) await side.tenants.synced(FIRST_SYNC_MS);
    }
    return side;
  }

  get isUp(): boolean {
    return this.#connection.isUp;
  }

  /** The node serves its media sockets at this base, ws:// or wss://. */
  connect(mediaUrl: string, served: ServedNode): void {
    this.#mediaUrl = mediaUrl;
    this.#served = served;
    if (this.#mediaTokenKeys !== null) served.onMediaTokenKeys(this.#mediaTokenKeys);
    this.tenants.watch();
    this.#connection.start();
    this.#sender.start();
  }

  /** Placement should know now rather than with the next report. */
  reportNow(): void {
    this.#connection.reportNow();
  }

  readonly onJournal = (event: JournalEvent): void => this.#spool.append(event);

  /**
   * The whole journal of a call that another node had, after which that one can write nothing any more.
   * @throws LumentraError when nobody has it, or nobody can be asked
   */
  readonly readJournal = async (callId: string, epoch: number): Promise<readonly JournalEvent[]> => {
    await Promise.race([this.#spool.drained(callId), this.#sleep(OWN_EVENTS_MS)]);
    const journal: JournalEvent[] = [];
    for (;;) {
      const fromSequence = journal.length;
      const page = await whileUnreachable(this.#options.clock, READ_JOURNAL_MS, (deadlineMs) =>
        this.#connection.rpc.call(
          "JournalService",
          "ReadJournal",
          { callId, fromSequence, epoch },
          { deadlineMs },
        ),
      );
      journal.push(...page.events.map(journalEventFromProto));
      if (!page.more || page.events.length === 0) return journal;
    }
  };

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#spool.flushed();
    const deadlineMs = this.#options.clock.nowMs() + LAST_EVENTS_MS;
    while (this.isUp && this.#spool.eventCount > 0 && this.#options.clock.nowMs() < deadlineMs) {
      await this.#sleep(LAST_EVENTS_LOOK_MS);
    }
    this.#sender.close();
    this.tenants.close();
    this.#connection.close();
    await this.#spool.close();
    await this.tenants.saved();
  }

  #report(): NodeReport {
    const served = this.#served!;
    const { rung, inputs } = served.pressure();
    return {
      pressure: { rung: RUNGS[rung]!, ...inputs },
      ready: served.isReady(),
      calls: served.heldCount(),
      draining: served.isStopping(),
    };
  }

  #isHeld(callId: string): boolean {
    for (const held of this.#served?.held() ?? []) if (held.callId === callId) return true;
    return false;
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.setTimer(delayMs, resolve));
  }
}
