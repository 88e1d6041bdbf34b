/**
 * What a placer believes of the nodes between two looks at the directory: who may take calls, and how many each has,
 * counted up locally with every placement. Pure; the simulator runs on it unchanged.
 *
 * Invariants
 * V1 A node is open when it is alive, ready, neither draining nor stopping, below rung 3, and has room by what is
 *    believed. The belief only orders candidates: room is granted by the directory, atomically.
 * V2 Placements made while a refresh was under way stay counted on top of what it brings. Counting one twice until
 *    the next refresh is harmless, forgetting a burst is not.
 */

/** The part of a directory's NodeRecord that placement looks at. */
export interface ViewedNode {
  readonly nodeId: string;
  readonly region: string;
  readonly mediaUrl: string;
  readonly capacityCalls: number;
  /** Leases and reservations. */
  readonly calls: number;
  readonly alive: boolean;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly stopping: boolean;
  readonly pressure: { readonly rung: number };
}

/** From this rung on a node takes nothing new. */
const AVOIDED_FROM_RUNG = 3;

export interface Candidate {
  readonly nodeId: string;
  readonly region: string;
  readonly mediaUrl: string;
  readonly capacityCalls: number;
  /** As believed now. */
  readonly calls: number;
}

interface MutableCandidate extends Candidate {
  calls: number;
  /** Where in its region's `open`; -1 when it is not there. */
  openIndex: number;
}

interface Region {
  /** In no order; a node that fills up is swapped out. */
  readonly open: MutableCandidate[];
  /** Of all that take calls, full ones included. */
  calls: number;
  capacityCalls: number;
}

export class ClusterView {
  #nodes = new Map<string, MutableCandidate>();
  #mediaUrls = new Map<string, string>();
  #lost = new Set<string>();
  #nodeRegions = new Map<string, string>();
  #regions = new Map<string, Region>();
  #countedSince = new Map<string, number>();

  /** Call it before asking the directory, so that what is placed meanwhile stays counted (V2). */
  beginRefresh(): void {
    this.#countedSince.clear();
  }

  /** What the directory said. */
  replace(nodes: readonly ViewedNode[]): void {
    this.#nodes = new Map();
    this.#mediaUrls = new Map();
    this.#nodeRegions = new Map();
    this.#lost = new Set();
    this.#regions = new Map();
    for (const node of nodes) {
      this.#mediaUrls.set(node.nodeId, node.mediaUrl);
      this.#nodeRegions.set(node.nodeId, node.region);
      if (!node.alive) this.#lost.add(node.nodeId);
      if (!takesCalls(node)) continue;
      const { nodeId, region, mediaUrl, capacityCalls } = node;
      const calls = node.calls + (this.#countedSince.get(nodeId) ?? 0);
      const candidate: MutableCandidate = { nodeId, region, mediaUrl, capacityCalls, calls, openIndex: -1 };
      this.#nodes.set(nodeId, candidate);
      const inRegion = this.#regions.get(region) ?? { open: [], calls: 0, capacityCalls: 0 };
      this.#regions.set(region, inRegion);
      inRegion.calls += calls;
      inRegion.capacityCalls += capacityCalls;
      if (calls < capacityCalls) candidate.openIndex = inRegion.open.push(candidate) - 1;
    }
  }

  /** A call was placed there. */
  countUp(nodeId: string): void {
    this.#countedSince.set(nodeId, (this.#countedSince.get(nodeId) ?? 0) + 1);
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    node.calls++;
    this.#regions.get(node.region)!.calls++;
    if (node.calls >= node.capacityCalls) this.#closeNode(node);
  }

  /** The directory found no room there: not a candidate until the next refresh. */
  markFull(nodeId: string): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) this.#closeNode(node);
  }

  /** A node that takes calls and has room, else null. */
  openNode(nodeId: string): Candidate | null {
    const node = this.#nodes.get(nodeId);
    return node === undefined || node.openIndex < 0 ? null : node;
  }

  /** Of any node that is known, lost ones too. */
  mediaUrl(nodeId: string): string | null {
    return this.#mediaUrls.get(nodeId) ?? null;
  }

  /** Of any node that is known; null otherwise. */
  regionOf(nodeId: string): string | null {
    return this.#nodeRegions.get(nodeId) ?? null;
  }

  /** Known, and gone for longer than its lease time. */
  isLost(nodeId: string): boolean {
    return this.#lost.has(nodeId);
  }

  /** Nodes with room; changes as calls are counted. */
  open(region: string): readonly Candidate[] {
    return this.#regions.get(region)?.open ?? [];
  }

  /** Share of a region's slots in use, 0 to 1; 0 for a region without nodes. */
  meanLoad(region: string): number {
    const found = this.#regions.get(region);
    return found === undefined ? 0 : found.calls / Math.max(found.capacityCalls, 1);
  }

  /** Those with nodes that take calls, the least loaded first. */
  regions(): string[] {
    return [...this.#regions.keys()].sort((a, b) => this.meanLoad(a) - this.meanLoad(b));
  }

  #closeNode(node: MutableCandidate): void {
    if (node.openIndex < 0) return;
    const { open } = this.#regions.get(node.region)!;
    const last = open.pop()!;
    if (last !== node) {
      open[node.openIndex] = last;
      last.openIndex = node.openIndex;
    }
    node.openIndex = -1;
  }
}

/** Share of its slots in use. */
export function loadOf(node: { readonly calls: number; readonly capacityCalls: number }): number {
  return node.calls / Math.max(node.capacityCalls, 1);
}

/** V1 less the room. */
function takesCalls(node: ViewedNode): boolean {
  const { alive, ready, draining, stopping, pressure } = node;
  return alive && ready && !draining && !stopping && pressure.rung < AVOIDED_FROM_RUNG;
}
