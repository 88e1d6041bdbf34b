/**
 * How long the directory remembers, the same for both implementations.
 *
 * Each must exceed what leans on it: REBUILD_MS a few reports of a node (one a second), ENDED_KEPT_MS a carrier's
 * slowest retry of a webhook, CALL_KEPT_MS the longest time without a sweep.
 */

/** How long nodes have to tell what they hold after a loss of memory, and nothing is granted meanwhile (D4). */
export const REBUILD_MS = 3_000;
/** A call that was released, or taken out as expired, is recognised for this long. */
export const ENDED_KEPT_MS = 600_000;
/** An expired lease that nobody sweeps is forgotten after this. */
export const CALL_KEPT_MS = 3_600_000;
/** A lost node stays in the list for this long, and an operator's drain of it in force. */
export const NODE_KEPT_MS = 86_400_000;
/** No sweep for so long: nobody could report, so expired leases say nothing; nodes are asked again as after a loss. */
export const OUTAGE_MS = 10_000;
