/**
 * Places calls: looks at the nodes four times a second, counts up in between, and asks the directory for a slot in
 * the order that choose.ts names.
 *
 * Invariants
 * P1 What is granted was granted by the directory; the view only says whom to ask, and in which order.
 * P2 "No capacity" is said only by a view no older than FRESH_MS: a slot given back a moment ago is found. Those who
 *    wait for such a view all wait for the same one, so a burst of refusals costs the directory 40 looks a second.
 * P3 A call costs at most ROUNDS_MAX questions per view, and two views.
 */
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { Logger } from "#runtime/telemetry";
import type { Directory, Lease, ReserveRequest } from "../directory/directory.js";
import { rounds } from "./choose.js";
import { ClusterView } from "./cluster-view.js";

/** Four looks a second: a report is a second old anyway, and what we place ourselves is counted at once. */
export const REFRESH_MS = 250;
/**
 * Questions to the directory per view. The asking node, two and two are three rounds; the rest of a region is one
 * per hundred nodes, and by then the view knows better than the dice.
 */
export const ROUNDS_MAX = 12;
/** A look at a thousand nodes keeps Redis busy for milliseconds; refused calls must not take it from admitted ones. */
export const FRESH_MS = 25;
/** A view this many looks old (the directory was away) knows nothing worth asking by. */
const OVERDUE_LOOKS = 4;

export interface PlacerOptions {
  readonly directory: Pick<Directory, "nodes" | "reserve">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Between looks at the nodes. @default 250 ms */
  readonly refreshMs?: number;
  /** How long a slot waits for its media, ms. */
  readonly reservationMs: number;
}

export interface PlacementRequest extends Omit<ReserveRequest, "nodeIds" | "pickOf" | "reservationMs"> {
  readonly preferredNodeId: string | null;
  /** Empty: the preferred node's, or any. */
  readonly region: string;
  /** Who has the call that is resumed: full or not, it needs no second slot there. */
  readonly heldByNodeId?: string | null;
}

export type Placement =
  | {
      readonly kind: "placed";
      readonly lease: Lease;
      /** Base of the node's media sockets. */
      readonly mediaUrl: string;
      /** The same carrier call was placed before: this is its place. */
      readonly existing: boolean;
    }
  | { readonly kind: "refused"; readonly reason: "tenantCap" | "resellerCap" | "noCapacity" }
  /** The carrier call is over. */
  | { readonly kind: "ended"; readonly callId: string };

/** For metrics; counts since the start. */
export interface PlacerStats {
  readonly placed: number;
  readonly existing: number;
  readonly ended: number;
  readonly refused: Readonly<Record<"tenantCap" | "resellerCap" | "noCapacity", number>>;
  /** Questions to the directory. */
  readonly rounds: number;
  readonly refreshes: number;
  readonly refreshFailures: number;
}

type Asked = Placement | "full";

export class Placer {
  readonly #options: PlacerOptions;
  readonly #view = new ClusterView();
  readonly #stats = {
    placed: 0,
    existing: 0,
    ended: 0,
    refused: { tenantCap: 0, resellerCap: 0, noCapacity: 0 },
    rounds: 0,
    refreshes: 0,
    refreshFailures: 0,
  };
  /** The look under way. */
  #refreshing: Promise<void> | null = null;
  /** The look that begins when the one under way has ended (P2). */
  #nextRefresh: Promise<void> | null = null;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle | null = null;
  #isAway = false;
  #isClosed = false;

  constructor(options: PlacerOptions) {
    this.#options = options;
  }

  get stats(): PlacerStats {
    return structuredClone(this.#stats);
  }

  /** What is believed of the nodes; for reading. */
  get view(): ClusterView {
    return this.#view;
  }

  /** Looks at the nodes from now on. Resolves after the first look, whether or not it worked. */
  async start(): Promise<void> {
    await this.#refresh().catch(() => {});
    this.#schedule();
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** @throws LumentraError DIRECTORY_UNAVAILABLE, DIRECTORY_REBUILDING */
  async place(request: PlacementRequest): Promise<Placement> {
    const { clock, refreshMs = REFRESH_MS } = this.#options;
    if (clock.nowMs() - this.#refreshedAtMs > OVERDUE_LOOKS * refreshMs) await this.#refresh();
    let asked = await this.#ask(request);
    if (asked === "full") {
      await this.#refreshAnew(); // P2
      asked = await this.#ask(request);
    }
    const placement: Placement = asked === "full" ? { kind: "refused", reason: "noCapacity" } : asked;
    this.#count(placement);
    return placement;
  }

  async #ask(request: PlacementRequest): Promise<Asked> {
    const { random, reservationMs } = this.#options;
    const { preferredNodeId, region: wanted, heldByNodeId = null, ...call } = request;
    const region = wanted || (preferredNodeId === null ? "" : (this.#view.regionOf(preferredNodeId) ?? ""));
    let isFirst = true;
    let left = ROUNDS_MAX;
    for (const round of rounds(this.#view, { preferredNodeId, region }, random)) {
      if (left-- === 0) break; // P3
      isFirst = false;
      const asked = await this.#reserve({ ...call, ...round, reservationMs });
      if (asked !== "full") return asked;
    }
    // Without a candidate the directory is asked all the same: a repeated webhook gets its answer, an ended call
    // and a cap theirs, and a call that comes back to a full node its own slot.
    const nodeIds = heldByNodeId === null ? [] : [heldByNodeId];
    if (!isFirst && nodeIds.length === 0) return "full";
    return this.#reserve({ ...call, nodeIds, pickOf: 1, reservationMs });
  }

  async #reserve(request: ReserveRequest): Promise<Asked> {
    this.#stats.rounds++;
    const result = await this.#options.directory.reserve(request);
    switch (result.kind) {
      case "reserved":
        this.#view.countUp(result.lease.nodeId);
        return this.#placed(result.lease, false);
      case "existing":
        return this.#placed(result.lease, true);
      case "full":
        for (const nodeId of request.nodeIds) this.#view.markFull(nodeId);
        return "full";
      default:
        return result;
    }
  }

  async #placed(lease: Lease, existing: boolean): Promise<Asked> {
    let mediaUrl = this.#view.mediaUrl(lease.nodeId);
    if (mediaUrl === null) {
      // Placed by another control plane on a node that came a moment ago.
      await this.#refresh();
      mediaUrl = this.#view.mediaUrl(lease.nodeId);
    }
    if (mediaUrl === null)
      throw new LumentraError("DIRECTORY_REBUILDING", `node ${lease.nodeId} has not registered again yet`);
    return { kind: "placed", lease, mediaUrl, existing };
  }

  #count(placement: Placement): void {
    if (placement.kind === "refused") this.#stats.refused[placement.reason]++;
    else if (placement.kind === "ended") this.#stats.ended++;
    else if (placement.existing) this.#stats.existing++;
    else this.#stats.placed++;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    const { clock, refreshMs = REFRESH_MS } = this.#options;
    this.#timer = clock.setTimer(refreshMs, () => {
      void this.#refresh()
        .catch(() => {}) // counted and logged there
        .finally(() => this.#schedule());
    });
  }

  /** Joins the look under way, or begins one. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** A look that begins after this call (P2). */
  #refreshAnew(): Promise<void> {
    if (this.#options.clock.nowMs() - this.#refreshedAtMs < FRESH_MS) return Promise.resolve();
    if (this.#refreshing === null) return this.#refresh();
    this.#nextRefresh ??= this.#refreshing
      .catch(() => {})
      .then(() => {
        this.#nextRefresh = null;
        return this.#refresh();
      });
    return this.#nextRefresh;
  }

  async #look(): Promise<void> {
    const { directory, clock, log } = this.#options;
    this.#view.beginRefresh();
    try {
      this.#view.replace(await directory.nodes());
    } catch (error) {
      this.#stats.refreshFailures++;
      if (!this.#isAway) log.warn({ error }, "the directory cannot be read; calls are refused until it can");
      this.#isAway = true;
      throw error;
    }
    this.#isAway = false;
    this.#stats.refreshes++;
    this.#refreshedAtMs = clock.nowMs();
  }
}
