/**
 * What happens to the cluster while calls come, in phases measured by calls offered: so the same things happen at
 * any size. Steady is 70 % of all slots in use.
 */
export type PhaseEvent =
  | "nodesLost"
  | "nodesAdded"
  | "regionGone"
  | "regionBack"
  /** Until the next event, placers look at the directory every five seconds instead of four times a second. */
  | "viewsStale";

export interface Phase {
  readonly name: string;
  /** Share of all calls that have been offered when it ends. */
  readonly untilShare: number;
  /** Arrivals, as a multiple of the steady rate. */
  readonly rate: number;
  readonly event?: PhaseEvent;
}

export const PHASES: readonly Phase[] = [
  { name: "filling", untilShare: 0.15, rate: 1 },
  { name: "steady", untilShare: 0.3, rate: 1 },
  { name: "burst, twice the calls", untilShare: 0.34, rate: 2 },
  { name: "after it", untilShare: 0.4, rate: 1 },
  { name: "overload, five times", untilShare: 0.47, rate: 5 },
  { name: "after it", untilShare: 0.55, rate: 1 },
  { name: "views 5 s old", untilShare: 0.65, rate: 1, event: "viewsStale" },
  { name: "a tenth of the nodes lost", untilShare: 0.74, rate: 1, event: "nodesLost" },
  { name: "as many added, empty", untilShare: 0.82, rate: 1, event: "nodesAdded" },
  { name: "a region gone", untilShare: 0.92, rate: 1, event: "regionGone" },
  { name: "back, empty", untilShare: 1, rate: 1, event: "regionBack" },
];

/** Share of calls, and of nodes, by region; the last is the one that goes. */
export const REGIONS = [
  { name: "us-east", share: 0.5 },
  { name: "us-west", share: 0.3 },
  { name: "eu-west", share: 0.2 },
] as const;

export const STEADY_LOAD = 0.7;
/** A number may point at one node by name instead of a balancer: so much of a region's webhooks goes there. */
export const HOT_NODE_SHARE = 0.05;
export const LOST_SHARE = 0.1;
/** Durations are exponential, but for nobody hangs up at once. */
export const MEAN_CALL_MS = 60_000;
export const SHORTEST_CALL_MS = 2_000;
/** A carrier notices the dead socket and follows the redirect within this. */
export const REDIRECT_MS = 2_000;
/** Every tenth node is a small one: what counts is load, not calls. */
export const SMALL_EVERY = 10;
export const SLOTS_PER_NODE = 100;
export const SLOTS_PER_SMALL_NODE = 50;
