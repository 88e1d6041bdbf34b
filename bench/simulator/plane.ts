/**
 * The control plane of a simulated world: the real directory (in memory), placer and sweeper, and the journals as the
 * store keeps them. Its RPCs are messages that take a few milliseconds each way, or do not come at all.
 *
 * P1 a journal is written under its call's epoch: what an older owner says late is refused.
 * P2 events are kept in order without gaps; repeats are known by (call, sequence).
 */
import { MemoryDirectory } from "#control-plane/directory";
import { type Placement, Placer, Sweeper, type SweeperOptions } from "#control-plane/placement";
import type { JournalEvent } from "#actors/journal";
import { LumentraError } from "#runtime/errors";
import { silentLogger } from "#runtime/telemetry";
import type { Seams } from "./seams.js";
import type { SimThread, SimTime } from "./sim-time.js";

export const LEASE_TIME_MS = 5_000;
const RESERVATION_MS = 8_000;
/** How long a call without an owner waits for its carrier. */
export const RESUME_GRACE_MS = 10_000;
/** Less than a cluster's half a minute; nodes tell what they hold each second. */
export const RECONCILE_MS = 4_000;
const RPC_MS = [2, 15] as const;

export interface CallRow {
  readonly id: string;
  readonly callId: string;
  epoch: number;
  nodeId: string;
  readonly events: JournalEvent[];
  state: "live" | "suspended" | "ended";
  suspendedAtMs: number;
  /** It is what the control plane thinks, not what its journal says. */
  lost: boolean;
  /** How it ended is only thought: nobody was heard of it. Stands behind its events, and is none of them. */
  lostEnd: JournalEvent | null;
}

/** What happened to journals, for the invariants. */
export interface PlaneCounts {
  refusedEvents: number;
  repeatedEvents: number;
}

type LostOutcome = "nodeLost" | "legLost";

type Request = Readonly<Record<string, unknown>>;

export class Plane {
  readonly directory: MemoryDirectory;
  readonly rows = new Map<string, CallRow>();
  readonly counts: PlaneCounts = { refusedEvents: 0, repeatedEvents: 0 };
  /** What no store would take: a gap, something after the end. */
  readonly faults: string[] = [];
  readonly #time: SimTime;
  readonly #placer: Placer;
  readonly #sweeper: Sweeper;
  readonly #tenantCap: number;
  readonly #seams: Seams;
  #nextCall = 1;
  /** Tells a node that a call of its is another's. */
  onLeaseLost: (nodeId: string, callId: string, epoch: number) => void = () => {};

  constructor(time: SimTime, thread: SimThread, tenantCap: number, seams: Seams) {
    this.#seams = seams;
    this.#time = time;
    this.#tenantCap = tenantCap;
    this.directory = new MemoryDirectory({ clock: thread });
    this.#placer = new Placer({
      directory: this.directory,
      clock: thread,
      random: time.random,
      log: silentLogger,
      reservationMs: RESERVATION_MS,
    });
    this.#sweeper = new Sweeper({
      directory: this.directory,
      store: this.#store(),
      clock: thread,
      log: silentLogger,
      resumeGraceMs: RESUME_GRACE_MS,
      reconcileMs: RECONCILE_MS,
      onLost: () => {},
    });
  }

  async start(): Promise<void> {
    await this.#placer.start();
    this.#sweeper.start();
  }

  async close(): Promise<void> {
    this.#placer.close();
    await this.#sweeper.close();
  }

  /** From a node's thread; `isUp` is asked when the request leaves and when the answer comes. */
  async rpc(nodeId: string, node: SimThread, isUp: () => boolean, method: string, request: Request) {
    const hop = (): Promise<void> =>
      new Promise((resolve, reject) => {
        node.after(this.#time.between(...RPC_MS), () => {
          if (isUp()) resolve();
          else reject(new LumentraError("CONTROL_PLANE_UNREACHABLE", "partitioned"));
        });
      });
    await hop();
    let answer: unknown;
    let refusal: unknown = null;
    try {
      answer = await this.#handle(nodeId, method, request);
    } catch (error) {
      refusal = error;
    }
    await hop();
    if (refusal !== null) throw refusal;
    return answer;
  }

  /** The journal for whoever goes on with the call; from here on only he writes. */
  read(callId: string, epoch: number): readonly JournalEvent[] | null {
    const row = this.rows.get(callId);
    if (row === undefined) return null;
    row.epoch = Math.max(row.epoch, epoch);
    return [...row.events];
  }

  /** P1, P2. */
  append(nodeId: string, told: JournalEvent): void {
    const event = this.#seams.toPlane === undefined ? told : this.#seams.toPlane(told);
    if (event === null) return;
    let row = this.rows.get(event.callId);
    if (row === undefined) {
      if (event.sequence !== 0) {
        this.faults.push(`${event.callId}: the first event has sequence ${event.sequence}`);
        return;
      }
      row = {
        id: event.callId,
        callId: event.callId,
        epoch: event.epoch,
        nodeId,
        events: [],
        state: "live",
        suspendedAtMs: 0,
        lost: false,
        lostEnd: null,
      };
      this.rows.set(event.callId, row);
    }
    if (event.epoch < row.epoch && this.#seams.fences !== false) {
      this.counts.refusedEvents += 1;
      return;
    }
    const { lostEnd } = row;
    if (lostEnd !== null) row.events.pop();
    this.#appendTo(row, nodeId, event);
    if (lostEnd === null) return;
    // It stays so until it goes on or says itself how it ended.
    if (event.kind === "callResumed" || event.kind === "callEnded") {
      row.lostEnd = null;
      return;
    }
    row.events.push({ ...lostEnd, sequence: row.events.length, epoch: row.epoch });
    row.state = "ended";
    row.lost = true;
  }

  #appendTo(row: CallRow, nodeId: string, event: JournalEvent): void {
    if (event.sequence < row.events.length) {
      const known = row.events[event.sequence]!;
      if (known.epoch === event.epoch && known.kind === event.kind) this.counts.repeatedEvents += 1;
      else this.faults.push(`${event.callId}: two events have sequence ${event.sequence}`);
      return;
    }
    if (event.sequence > row.events.length) {
      this.faults.push(
        `${event.callId}: sequence ${event.sequence} follows ${row.events.length - 1} (${event.kind})`,
      );
      return;
    }
    if (row.state === "ended" && row.lostEnd === null)
      this.faults.push(`${event.callId}: ${event.kind} after the end`);
    row.epoch = event.epoch;
    row.nodeId = nodeId;
    row.events.push(event);
    if (row.lost || event.kind === "callResumed") row.state = "live";
    row.lost = false;
    if (event.kind === "callEnded") row.state = "ended";
    if (event.kind !== "legLost") return;
    row.state = "suspended";
    row.suspendedAtMs = this.#time.nowMs();
  }

  async #handle(nodeId: string, method: string, request: Request): Promise<unknown> {
    switch (method) {
      case "PlaceCall":
        return request["resume"] === true ? this.#placeAgain(request) : this.#placeNew(request);
      case "ConfirmCall": {
        const lease = await this.directory.confirm(
          request["callId"] as string,
          request["epoch"] as number,
          nodeId,
          LEASE_TIME_MS,
        );
        if (lease === "unknown") throw new LumentraError("NOT_FOUND", "no place");
        if (lease === "lost") throw new LumentraError("CALL_LEASE_LOST", "another's");
        return { lease, pii: lease.pii, resumed: lease.resumed };
      }
      case "ReleaseCall":
        return {
          released: await this.directory.release(request["callId"] as string, request["epoch"] as number),
        };
      default:
        throw new Error(`no RPC is named ${method}`);
    }
  }

  async #placeNew(request: Request): Promise<unknown> {
    const callId = `call-${this.#nextCall++}`;
    const asked = { ...this.#asked(request), tenantCap: this.#tenantCap };
    return answer(await this.#placer.place({ ...asked, callId, resume: false }));
  }

  async #placeAgain(request: Request): Promise<unknown> {
    const callId = request["callId"] as string;
    const row = this.rows.get(callId);
    const before = await this.directory.lookUp(callId);
    if (row?.state === "ended") throw new LumentraError("CALL_ENDED", `call ${callId} is over`);
    const asked = { ...this.#asked(request), tenantCap: Number.MAX_SAFE_INTEGER };
    const heldByNodeId = before?.nodeId ?? null;
    const again = { ...asked, callId, knownEpoch: row?.epoch ?? 0, resume: true, heldByNodeId };
    const afterEpoch = (request["resumeAfterEpoch"] as number | undefined) ?? 0;
    let placement = await this.#placer.place({ ...again, afterEpoch });
    if (placement.kind === "placed" && placement.existing && this.#placer.view.isLost(placement.lease.nodeId))
      placement = await this.#placer.place(again);
    if (placement.kind !== "placed" || placement.existing) return answer(placement);
    const { lease } = placement;
    if (row !== undefined) {
      if (row.nodeId !== lease.nodeId) row.epoch = Math.max(row.epoch, lease.epoch);
    }
    if (before !== null && before.epoch < lease.epoch && before.nodeId !== lease.nodeId)
      this.onLeaseLost(before.nodeId, callId, lease.epoch);
    return answer(placement);
  }

  #asked(request: Request) {
    return {
      carrier: request["carrier"] as string,
      carrierCallId: request["carrierCallId"] as string,
      tenantId: request["tenantId"] as string,
      resellerId: "reseller",
      resellerCap: Number.MAX_SAFE_INTEGER,
      preferredNodeId: request["preferredNodeId"] as string,
      region: "",
      pii: request["pii"] as { readonly from: string; readonly to: string },
    };
  }

  /** As much of the store as the sweeper asks for. */
  #store(): SweeperOptions["store"] {
    const calls = {
      lose: (callId: string, epoch: number, final: boolean, outcome: LostOutcome): Promise<unknown> =>
        Promise.resolve(this.#lose(callId, epoch, final, outcome)),
      suspendedBefore: (instant: Date): Promise<unknown> => {
        const beforeMs = instant.getTime() - this.#time.unixMs() + this.#time.nowMs();
        return Promise.resolve(this.#rowsThatAre("suspended").filter((row) => row.suspendedAtMs < beforeMs));
      },
      list: (): Promise<unknown> => Promise.resolve({ rows: this.#rowsThatAre("live"), next: null }),
    };
    const transaction = (_scope: unknown, _who: unknown, work: (tx: unknown) => unknown): unknown =>
      work({ calls });
    return { transaction } as unknown as SweeperOptions["store"];
  }

  #rowsThatAre(state: CallRow["state"]): readonly CallRow[] {
    return [...this.rows.values()].filter((row) => row.state === state);
  }

  #lose(callId: string, epoch: number, final: boolean, outcome: LostOutcome): CallRow | null {
    const nowMs = this.#time.nowMs();
    const row = this.rows.get(callId);
    if (row === undefined || row.epoch > epoch || row.state === "ended") return null;
    if (row.state === "live") {
      row.state = "suspended";
      row.suspendedAtMs = nowMs;
      row.lost = true;
    } else if (final) {
      row.state = "ended";
      row.lost = true;
      row.lostEnd = {
        kind: "callEnded",
        outcome: { kind: outcome },
        durationMs: this.#time.unixMs() - row.events[0]!.atUnixMs,
        callId,
        sequence: row.events.length,
        epoch: row.epoch,
        atMs: nowMs,
        atUnixMs: this.#time.unixMs(),
      };
      row.events.push(row.lostEnd);
    }
    return row;
  }
}

const REFUSALS = {
  tenantCap: "PLACEMENT_REFUSAL_TENANT_CAP",
  resellerCap: "PLACEMENT_REFUSAL_RESELLER_CAP",
  noCapacity: "PLACEMENT_REFUSAL_NO_CAPACITY",
} as const;

function answer(placement: Placement): unknown {
  if (placement.kind === "ended") throw new LumentraError("CALL_ENDED", `call ${placement.callId} is over`);
  if (placement.kind === "refused") return { refusal: REFUSALS[placement.reason] };
  const { callId, epoch, nodeId, resumed } = placement.lease;
  const { mediaUrl } = placement;
  return { refusal: "PLACEMENT_REFUSAL_UNSPECIFIED", callId, epoch, nodeId, mediaUrl, resumed };
}
