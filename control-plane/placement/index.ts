/**
 * Where a call goes.
 *
 * ```ts
 * const view = new ClusterView();
 * view.beginRefresh();
 * view.replace(await directory.nodes());
 * for (const round of rounds(view, { preferredNodeId: "node-1", region: "us-east-1" }, random)) {
 *   const result = await directory.reserve({ ...call, ...round });
 *   if (result.kind !== "full") return result;
 *   round.nodeIds.forEach((nodeId) => view.markFull(nodeId));
 * }
 * ```
 */
export { type ChooseRequest, type Round, rounds } from "./choose.js";
export { type Candidate, ClusterView, type ViewedNode } from "./cluster-view.js";
export {
  FRESH_MS,
  type Placement,
  type PlacementRequest,
  Placer,
  type PlacerOptions,
  type PlacerStats,
  REFRESH_MS,
  ROUNDS_MAX,
} from "./placer.js";
export { Sweeper, type SweeperOptions, type SweeperStats } from "./sweeper.js";
