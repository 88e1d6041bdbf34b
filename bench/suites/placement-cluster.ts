/**
 * The cluster that the placement simulator places on: nodes, the directory's count of them, and placers with
 * their views. The choosing is the control plane's own (`#control-plane/placement`); what it talks to is a model,
 * since a million awaits measure the event loop.
 *
 * The model keeps to the directory's contract: a reservation counts at once and atomically; `pickOf` nodes at the head
 * are compared by what the directory counts; a node is alive for LEASE_MS after its last report, dead or not.
 */
import {
  ClusterView,
  FRESH_MS,
  ROUNDS_MAX,
  type Round,
  type ViewedNode,
  rounds,
} from "#control-plane/placement";
import type { Random } from "#runtime/actor";

/** LUMENTRA_LEASE_TIME_MS. */
const LEASE_MS = 5_000;
export const REPORT_EVERY_MS = 1_000;

export class SimulatedNode implements ViewedNode {
  readonly nodeId: string;
  readonly region: string;
  readonly mediaUrl = "";
  readonly capacityCalls: number;
  readonly ready = true;
  readonly draining = false;
  readonly stopping = false;
  readonly pressure = { rung: 0 };
  /** As the directory counts them. */
  calls = 0;
  /** As the directory believes. */
  alive = true;
  /** As it is. */
  up = true;
  reportedAtMs = 0;
  /** The calls on it, in no order. */
  readonly callIds: number[] = [];

  constructor(nodeId: string, region: string, capacityCalls: number) {
    this.nodeId = nodeId;
    this.region = region;
    this.capacityCalls = capacityCalls;
  }
}

/** Nodes and what the directory knows of them. */
export class SimulatedDirectory {
  readonly nodes: SimulatedNode[] = [];
  readonly byRegion = new Map<string, SimulatedNode[]>();
  readonly #byId = new Map<string, SimulatedNode>();

  add(node: SimulatedNode, nowMs: number): void {
    node.reportedAtMs = nowMs;
    this.nodes.push(node);
    const inRegion = this.byRegion.get(node.region);
    if (inRegion === undefined) this.byRegion.set(node.region, [node]);
    else inRegion.push(node);
    this.#byId.set(node.nodeId, node);
  }

  /** Reports of those that are up; the others are believed alive until their lease time is over. */
  hearReports(nowMs: number): void {
    for (const node of this.nodes) {
      if (node.up) node.reportedAtMs = nowMs;
      node.alive = nowMs - node.reportedAtMs < LEASE_MS;
    }
  }

  /** Null: none of them has room. */
  reserve({ nodeIds, pickOf }: Round): SimulatedNode | null {
    let best: SimulatedNode | null = null;
    for (let index = 0; index < nodeIds.length; index++) {
      if (index >= pickOf && best !== null) break;
      const node = this.#byId.get(nodeIds[index]!)!;
      if (!node.alive || node.calls >= node.capacityCalls) continue;
      if (best === null || node.calls / node.capacityCalls < best.calls / best.capacityCalls) best = node;
    }
    if (best !== null) best.calls++;
    return best;
  }

  /** Slots free on nodes that the directory believes alive and that are. */
  freeSlots(): number {
    let free = 0;
    for (const node of this.nodes) {
      if (node.up && node.alive) free += node.capacityCalls - node.calls;
    }
    return free;
  }
}

export type Choosing =
  /** What the control plane does. */
  | "placement"
  /** The same, with no node preferred: what it costs in balance to stay on the node that serves the webhook. */
  | "noPreference"
  /** Any node with room, as a load balancer's round robin would; for comparison. */
  | "random";

export class SimulatedPlacer {
  /** Questions to the directory. */
  asked = 0;
  readonly #directory: SimulatedDirectory;
  readonly #random: Random;
  readonly #choosing: Choosing;
  readonly #view = new ClusterView();
  #refreshedAtMs = Number.NEGATIVE_INFINITY;

  constructor(directory: SimulatedDirectory, random: Random, choosing: Choosing) {
    this.#directory = directory;
    this.#random = random;
    this.#choosing = choosing;
  }

  refresh(nowMs: number): void {
    this.#view.beginRefresh();
    this.#view.replace(this.#directory.nodes);
    this.#refreshedAtMs = nowMs;
  }

  /** Null: no room, by a fresh view. `webhookNode` is the one that asks. */
  place(webhookNode: SimulatedNode, nowMs: number): SimulatedNode | null {
    if (this.#choosing === "random") return this.#placeAnywhere(webhookNode.region);
    const node = this.#ask(webhookNode);
    if (node !== null || nowMs - this.#refreshedAtMs < FRESH_MS) return node;
    this.refresh(nowMs);
    return this.#ask(webhookNode);
  }

  #ask({ nodeId, region }: SimulatedNode): SimulatedNode | null {
    let left = ROUNDS_MAX;
    const preferredNodeId = this.#choosing === "placement" ? nodeId : null;
    for (const round of rounds(this.#view, { preferredNodeId, region }, this.#random)) {
      if (left-- === 0) return null;
      this.asked++;
      const node = this.#directory.reserve(round);
      if (node !== null) {
        this.#view.countUp(node.nodeId);
        return node;
      }
      for (const fullId of round.nodeIds) this.#view.markFull(fullId);
    }
    return null;
  }

  #placeAnywhere(home: string): SimulatedNode | null {
    const { byRegion } = this.#directory;
    for (const region of [home, ...[...byRegion.keys()].filter((name) => name !== home)]) {
      const nodes = byRegion.get(region) ?? [];
      const start = Math.floor(this.#random.next() * nodes.length);
      for (let index = 0; index < nodes.length; index++) {
        this.asked++;
        const nodeIds = [nodes[(start + index) % nodes.length]!.nodeId];
        const node = this.#directory.reserve({ nodeIds, pickOf: 1 });
        if (node !== null) return node;
      }
    }
    return null;
  }
}
