/**
 * The placement simulator's clock: calls come, end, lose their node and come again, in steps of virtual time from one
 * seed. Only the time that a placement takes is real.
 *
 * M1  Every call offered is live, ended, refused or lost in the end; the sums are checked.
 * M2  No node carries more than its slots, whatever the views believe; checked at every sample.
 * M3  The directory counts each live call once, and one that waits for its redirect where it was.
 */
import assert from "node:assert/strict";
import { REFRESH_MS } from "#control-plane/placement";
import { type Random, seededRandom } from "#runtime/actor";
import {
  type Choosing,
  REPORT_EVERY_MS,
  SimulatedDirectory,
  SimulatedNode,
  SimulatedPlacer,
} from "./placement-cluster.js";
import {
  HOT_NODE_SHARE,
  LOST_SHARE,
  MEAN_CALL_MS,
  PHASES,
  type Phase,
  type PhaseEvent,
  REDIRECT_MS,
  REGIONS,
  SHORTEST_CALL_MS,
  SLOTS_PER_NODE,
  SLOTS_PER_SMALL_NODE,
  SMALL_EVERY,
  STEADY_LOAD,
} from "./placement-scenario.js";
import { TimeHeap } from "./placement-time-heap.js";

const STEP_MS = 10;
const SAMPLE_EVERY_MS = 1_000;
const STALE_REFRESH_MS = 5_000;
const PLACER_COUNT = 4;

export interface SimulationOptions {
  readonly nodes: number;
  readonly calls: number;
  readonly seed: number;
  readonly choosing: Choosing;
  /** Stop after so many phases. @default all */
  readonly phaseCount?: number;
}

export interface PhaseFigures {
  readonly phase: Phase;
  offered: number;
  refused: number;
  /** Refused though some node had a slot free. */
  refusedWithRoom: number;
  /** The most slots that were free at such a moment. */
  mostRoomAtRefusal: number;
  /** Lost their node and were placed anew. */
  resumed: number;
  resumesRefused: number;
  /** Placed on a node that was dead already and not known to be. */
  placedOnDead: number;
  /** Not in the region the webhook came from. */
  elsewhere: number;
  readonly meanLoad: number[];
  /** Per sample: most loaded node over the mean. */
  readonly maxOverMean: number[];
  /** Per sample: standard deviation of the nodes' loads, as shares of their slots. */
  readonly stdev: number[];
}

export interface SimulationResult {
  readonly phases: readonly PhaseFigures[];
  /** Real time of each placement, sorted. */
  readonly placementNs: Float64Array;
  /** Questions to the directory. */
  readonly asked: number;
  readonly virtualMs: number;
  /** Of all nodes at the start. */
  readonly slots: number;
  /** The same for the same seed. */
  readonly digest: number;
}

/** What became of a call that is not on a node. */
const WAITING = -1;
const OVER = -2;

export function simulate(options: SimulationOptions): SimulationResult {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #directory = new SimulatedDirectory();
  readonly #placers: SimulatedPlacer[];
  readonly #ends: TimeHeap;
  /** Calls whose carrier follows the redirect. */
  readonly #returns: TimeHeap;
  /** Index of each call's node, WAITING or OVER. */
  readonly #nodeOf: Int32Array;
  /** Where a call stands in its node's list. */
  readonly #placeIn: Int32Array;
  /** Index of the node that a call which waits was on. */
  readonly #lostWith: Int32Array;
  readonly #endsAtMs: Float64Array;
  readonly #regionOf: Uint8Array;
  readonly #indexOf = new Map<SimulatedNode, number>();
  readonly #phases: PhaseFigures[] = [];
  readonly #placementNs: number[] = [];
  #figures!: PhaseFigures;
  /** Whole steps. */
  #nowMs = 0;
  #offered = 0;
  #ended = 0;
  #refused = 0;
  #refreshEveryMs = REFRESH_MS;
  #steadyPerMs = 0;
  #slots = 0;
  #digest = 0;
  /** Nodes that are, and those of each region: where webhooks go. */
  #up: readonly SimulatedNode[] = [];
  #upByRegion: readonly (readonly SimulatedNode[])[] = [];

  constructor(options: SimulationOptions) {
    const { nodes, calls, seed, choosing } = options;
    this.#options = options;
    this.#random = seededRandom(seed);
    this.#ends = new TimeHeap(calls);
    this.#returns = new TimeHeap(calls);
    this.#nodeOf = new Int32Array(calls).fill(WAITING);
    this.#placeIn = new Int32Array(calls);
    this.#lostWith = new Int32Array(calls);
    this.#endsAtMs = new Float64Array(calls);
    this.#regionOf = new Uint8Array(calls);
    this.#addNodes(
      nodes,
      REGIONS.map(({ share }) => share),
    );
    for (const node of this.#directory.nodes) this.#slots += node.capacityCalls;
    this.#steadyPerMs = (STEADY_LOAD * this.#slots) / MEAN_CALL_MS;
    this.#placers = Array.from(
      { length: PLACER_COUNT },
      () => new SimulatedPlacer(this.#directory, this.#random, choosing),
    );
  }

  run(): SimulationResult {
    for (const phase of PHASES.slice(0, this.#options.phaseCount ?? PHASES.length)) this.#runPhase(phase);
    const live = this.#directory.nodes.reduce((sum, node) => sum + node.callIds.length, 0);
    const counted = this.#directory.nodes.reduce((sum, node) => sum + node.calls, 0);
    assert.equal(live + this.#returns.size + this.#ended + this.#refused, this.#offered, "M1");
    assert.equal(counted, live + this.#returns.size, "M3");
    return {
      phases: this.#phases,
      placementNs: Float64Array.from(this.#placementNs).sort(),
      asked: this.#placers.reduce((sum, placer) => sum + placer.asked, 0),
      virtualMs: this.#nowMs,
      slots: this.#slots,
      digest: this.#digest >>> 0,
    };
  }

  #runPhase(phase: Phase): void {
    this.#figures = newFigures(phase);
    this.#phases.push(this.#figures);
    if (phase.event !== undefined) this.#happen(phase.event);
    const until = Math.round(phase.untilShare * this.#options.calls);
    const perStep = this.#steadyPerMs * phase.rate * STEP_MS;
    while (this.#offered < until) {
      this.#nowMs += STEP_MS;
      if (this.#nowMs % REPORT_EVERY_MS === 0) this.#directory.hearReports(this.#nowMs);
      // Placers look in turn, not all at one instant.
      this.#placers.forEach((placer, index) => {
        const offsetMs = Math.floor((index * this.#refreshEveryMs) / PLACER_COUNT / STEP_MS) * STEP_MS;
        if ((this.#nowMs + offsetMs) % this.#refreshEveryMs === 0 || this.#nowMs === STEP_MS)
          placer.refresh(this.#nowMs);
      });
      this.#endCalls();
      this.#returnCalls();
      for (let count = poisson(perStep, this.#random); count > 0 && this.#offered < until; count--)
        this.#offer();
      if (this.#nowMs % SAMPLE_EVERY_MS === 0) this.#sample();
    }
  }

  #offer(): void {
    const call = this.#offered++;
    this.#figures.offered++;
    const durationMs = Math.max(SHORTEST_CALL_MS, -Math.log(1 - this.#random.next()) * MEAN_CALL_MS);
    const endsAtMs = this.#nowMs + durationMs;
    this.#endsAtMs[call] = endsAtMs;
    this.#regionOf[call] = pickRegion(this.#random.next());
    if (this.#place(call)) this.#ends.push(endsAtMs, call);
    else this.#refuse(call);
  }

  #refuse(call: number): void {
    this.#nodeOf[call] = OVER;
    this.#refused++;
    this.#figures.refused++;
    this.#fold(-1);
    const room = this.#directory.freeSlots();
    if (room === 0) return;
    this.#figures.refusedWithRoom++;
    this.#figures.mostRoomAtRefusal = Math.max(this.#figures.mostRoomAtRefusal, room);
  }

  #place(call: number): boolean {
    const webhookNode = this.#webhookNode(this.#regionOf[call]!);
    const placer = this.#placers[Math.floor(this.#random.next() * PLACER_COUNT)]!;
    const startedAt = performance.now();
    const node = placer.place(webhookNode, this.#nowMs);
    this.#placementNs.push((performance.now() - startedAt) * 1e6);
    if (node === null) return false;
    const index = this.#indexOf.get(node)!;
    this.#fold(index);
    if (node.region !== webhookNode.region) this.#figures.elsewhere++;
    this.#nodeOf[call] = index;
    this.#placeIn[call] = node.callIds.push(call) - 1;
    if (!node.up) {
      // Nothing answers there: the carrier's socket fails, and it follows the redirect.
      this.#figures.placedOnDead++;
      this.#loseNode(call);
    }
    return true;
  }

  /** Where a balancer, or a number that points at one node, sends the webhook: never to a dead node. */
  #webhookNode(region: number): SimulatedNode {
    const home = this.#upByRegion[region]!;
    if (home.length > 0 && this.#random.next() < HOT_NODE_SHARE) return home[0]!;
    const nodes = home.length > 0 ? home : this.#up;
    return nodes[Math.floor(this.#random.next() * nodes.length)]!;
  }

  #endCalls(): void {
    while (this.#ends.nextAtMs <= this.#nowMs) {
      const call = this.#ends.pop();
      // On its way to another node: it ends there.
      if (this.#nodeOf[call]! < 0) continue;
      this.#leave(call);
      this.#nodeOf[call] = OVER;
      this.#ended++;
    }
  }

  #returnCalls(): void {
    while (this.#returns.nextAtMs <= this.#nowMs) {
      const call = this.#returns.pop();
      this.#directory.nodes[this.#lostWith[call]!]!.calls--;
      if (this.#endsAtMs[call]! <= this.#nowMs) {
        // The caller has hung up meanwhile.
        this.#nodeOf[call] = OVER;
        this.#ended++;
      } else if (this.#place(call)) {
        this.#figures.resumed++;
      } else {
        this.#figures.resumesRefused++;
        this.#refuse(call);
      }
    }
  }

  /** The call's node is gone; the directory counts it there until it is placed anew. */
  #loseNode(call: number): void {
    const index = this.#nodeOf[call]!;
    this.#takeOff(call);
    this.#lostWith[call] = index;
    this.#nodeOf[call] = WAITING;
    this.#returns.push(this.#nowMs + this.#random.next() * REDIRECT_MS, call);
  }

  #leave(call: number): void {
    this.#directory.nodes[this.#nodeOf[call]!]!.calls--;
    this.#takeOff(call);
  }

  #takeOff(call: number): void {
    const { callIds } = this.#directory.nodes[this.#nodeOf[call]!]!;
    const last = callIds.pop()!;
    if (last === call) return;
    callIds[this.#placeIn[call]!] = last;
    this.#placeIn[last] = this.#placeIn[call]!;
  }

  #happen(event: PhaseEvent): void {
    const { nodes } = this.#directory;
    this.#refreshEveryMs = event === "viewsStale" ? STALE_REFRESH_MS : REFRESH_MS;
    const everywhere = REGIONS.map(({ share }) => share);
    const { name: last, share: lastShare } = REGIONS.at(-1)!;
    switch (event) {
      case "nodesLost":
        for (const node of nodes) if (this.#random.next() < LOST_SHARE) this.#kill(node);
        return this.#noteUp();
      case "nodesAdded":
        return this.#addNodes(nodes.filter((node) => !node.up).length, everywhere);
      case "regionGone":
        for (const node of nodes) if (node.region === last && node.up) this.#kill(node);
        return this.#noteUp();
      case "regionBack":
        return this.#addNodes(
          Math.round(this.#options.nodes * lastShare),
          REGIONS.map(({ name }) => (name === last ? 1 : 0)),
        );
      case "viewsStale":
    }
  }

  #kill(node: SimulatedNode): void {
    node.up = false;
    while (node.callIds.length > 0) this.#loseNode(node.callIds.at(-1)!);
  }

  /** `shares` of `count`, by region. */
  #addNodes(count: number, shares: readonly number[]): void {
    const { nodes } = this.#directory;
    const before = nodes.length;
    let share = 0;
    for (const [region, { name }] of REGIONS.entries()) {
      share += shares[region]!;
      while (nodes.length < before + Math.round(share * count)) {
        const index = nodes.length;
        const slots = index % SMALL_EVERY === 0 ? SLOTS_PER_SMALL_NODE : SLOTS_PER_NODE;
        const node = new SimulatedNode(`node-${index}`, name, slots);
        this.#indexOf.set(node, index);
        this.#directory.add(node, this.#nowMs);
      }
    }
    this.#noteUp();
  }

  #noteUp(): void {
    this.#up = this.#directory.nodes.filter((node) => node.up);
    this.#upByRegion = REGIONS.map(({ name }) => this.#up.filter(({ region }) => region === name));
  }

  #sample(): void {
    let sum = 0;
    let squares = 0;
    let count = 0;
    let max = 0;
    for (const node of this.#directory.nodes) {
      assert(node.calls <= node.capacityCalls && node.callIds.length <= node.calls, "M2");
      if (!node.up) continue;
      const load = node.calls / node.capacityCalls;
      sum += load;
      squares += load * load;
      max = Math.max(max, load);
      count++;
    }
    const mean = sum / count;
    this.#figures.meanLoad.push(mean);
    this.#figures.maxOverMean.push(max / mean);
    this.#figures.stdev.push(Math.sqrt(Math.max(0, squares / count - mean * mean)));
  }

  #fold(value: number): void {
    this.#digest = (Math.imul(this.#digest, 31) + value) | 0;
  }
}

function newFigures(phase: Phase): PhaseFigures {
  return {
    phase,
    offered: 0,
    refused: 0,
    refusedWithRoom: 0,
    mostRoomAtRefusal: 0,
    resumed: 0,
    resumesRefused: 0,
    placedOnDead: 0,
    elsewhere: 0,
    meanLoad: [],
    maxOverMean: [],
    stdev: [],
  };
}

function pickRegion(draw: number): number {
  let share = 0;
  for (const [index, region] of REGIONS.entries()) {
    share += region.share;
    if (draw < share) return index;
  }
  return REGIONS.length - 1;
}

/** How many come in a step: exact for few, by the normal approximation for many. */
function poisson(mean: number, random: Random): number {
  if (mean > 60) {
    const normal = Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal));
  }
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = random.next(); product > limit; product *= random.next()) count++;
  return count;
}
