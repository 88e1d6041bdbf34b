/** The one call whose work blocks a thread: the same for the plain agent and for a shard of ours. */

/** Whoever calls from this number. */
export const BLOCKING_CALLER = "+15550100950";
export const BLOCK_MS = 300;
const BLOCK_EVERY_MS = 2_000;

export function isBlockingCaller(address: string): boolean {
  return address.includes(BLOCKING_CALLER);
}

/**
 * Blocks this thread now and then, until what it returns is called.
 *
 * @param as runs the block as what it is there; by itself if not given.
 */
export function blockWhileUp(as: (block: () => void) => void = (block) => block()): () => void {
  const timer = setInterval(() => as(block), BLOCK_EVERY_MS);
  return () => clearInterval(timer);
}

function block(): void {
  const untilMs = performance.now() + BLOCK_MS;
  while (performance.now() < untilMs) {
    // Computes.
  }
}
