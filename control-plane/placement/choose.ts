/**
 * Which nodes to ask for a slot, and in which order. Pure: the view and the randomness are passed in, so the
 * simulator replays it from a seed.
 *
 * Rounds: the node that serves the webhook when it is good enough, otherwise two sampled (the less loaded gets the
 * call; the directory compares again, atomically); then two more; then all of the region, the least loaded first;
 * then other regions in the same way. The caller stops at the first round that is granted.
 */
import type { Random } from "#runtime/actor";
import { type Candidate, type ClusterView, loadOf } from "./cluster-view.js";

export interface ChooseRequest {
  /** The node that asks; null when none is preferred. */
  readonly preferredNodeId: string | null;
  /** Where the call should stay if it can; empty: the preferred node's, or any. */
  readonly region: string;
}

/** One question to the directory. */
export interface Round {
  /** In order of preference. */
  readonly nodeIds: readonly string[];
  /** How many at the head are compared by load; 1 keeps the order. */
  readonly pickOf: number;
}

/**
 * How far above its region's mean load the preferred node may be, as a share of its slots. A hop to another node costs
 * the caller a connection set up anew, about 50 ms; 10 points
 * keep a node that gets all webhooks from filling up first. The simulator at 300 nodes, most loaded over mean: 1.33 at 20
 * points, 1.19 at 10, 1.12 at 5, 1.08 without a preference.
 */
const PREFERRED_LOAD_MARGIN = 0.1;
/** Power of two choices. */
const SAMPLE = 2;
/** Rounds of SAMPLE nodes before all of a region are asked. */
const SAMPLED_ROUNDS = 2;
/** Nodes in one question: the directory's script looks at each. */
const MAX_NODES_PER_ROUND = 100;
/** Draws to find a node not yet asked, before it is looked for one by one. */
const MAX_DRAWS = 8;

/** Ends when every node with room was named. Reads the view as it is when each round is taken. */
export function* rounds(view: ClusterView, request: ChooseRequest, random: Random): Generator<Round, void> {
  const preferred = request.preferredNodeId === null ? null : view.openNode(request.preferredNodeId);
  const home = request.region || (preferred?.region ?? "");
  const asked = new Set<string>();
  const note = (nodes: readonly Candidate[]): string[] =>
    nodes.map(({ nodeId }) => {
      asked.add(nodeId);
      return nodeId;
    });

  const regions = view.regions().filter((region) => region !== home);
  if (home !== "") regions.unshift(home);
  for (const region of regions) {
    let sampledRounds = SAMPLED_ROUNDS;
    if (region === home && preferred !== null && isGoodEnough(view, preferred, home)) {
      asked.add(preferred.nodeId);
      sampledRounds--;
      yield { nodeIds: [preferred.nodeId, ...note(sample(view.open(region), asked, random))], pickOf: 1 };
    }
    for (; sampledRounds > 0; sampledRounds--) {
      const nodes = sample(view.open(region), asked, random);
      if (nodes.length > 0) yield { nodeIds: note(nodes), pickOf: nodes.length };
    }
    const rest = view.open(region).filter(({ nodeId }) => !asked.has(nodeId));
    rest.sort((a, b) => loadOf(a) - loadOf(b));
    for (let start = 0; start < rest.length; start += MAX_NODES_PER_ROUND)
      yield { nodeIds: note(rest.slice(start, start + MAX_NODES_PER_ROUND)), pickOf: 1 };
  }
}

function isGoodEnough(view: ClusterView, node: Candidate, region: string): boolean {
  return node.region === region && loadOf(node) <= view.meanLoad(region) + PREFERRED_LOAD_MARGIN;
}

/** Up to SAMPLE nodes not asked yet, the less loaded first. */
function sample(open: readonly Candidate[], asked: ReadonlySet<string>, random: Random): Candidate[] {
  const found: Candidate[] = [];
  const isNew = (node: Candidate): boolean => !asked.has(node.nodeId) && !found.includes(node);
  for (let draw = 0; draw < MAX_DRAWS && found.length < SAMPLE && open.length > 0; draw++) {
    const node = open[Math.floor(random.next() * open.length)]!;
    if (isNew(node)) found.push(node);
  }
  // Few are left: looking is quicker than drawing, and misses none. From a random place, so that none is favoured.
  const start = Math.floor(random.next() * open.length);
  for (let i = 0; i < open.length && found.length < SAMPLE; i++) {
    const node = open[(start + i) % open.length]!;
    if (isNew(node)) found.push(node);
  }
  return found.sort((a, b) => loadOf(a) - loadOf(b));
}
