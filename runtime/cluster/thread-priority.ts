/**
 * Which thread goes first when there are fewer processors than threads that want one. The edge's does little at a time and is
 * waited for by everybody, so it is raised above the shards, the collector's helpers and whatever else runs on the
 * machine: pieces of audio then leave on time where shards are full (docs/BENCHMARKS.md).
 *
 * N1  Linux alone gives each thread a niceness of its own; elsewhere nothing is done. A thread inherits that of the one that makes it.
 */
import { getPriority, setPriority } from "node:os";

/** The calling thread, to the system. */
const OWN = 0;

/** Niceness that threads made by a raised one are to have; null while none is raised. */
let ordinary: number | null = null;

/** Whether the calling thread now has a niceness of its own. */
export type RaiseOutcome =
  | { readonly kind: "raised"; readonly from: number }
  /** It goes first anyhow, and so does what the process is started with: nothing was done. */
  | { readonly kind: "already"; readonly nice: number }
  /** N1 */
  | { readonly kind: "unknown"; readonly platform: string }
  /** The system does not let it: it takes CAP_SYS_NICE, or a limit for niceness that reaches so far. */
  | { readonly kind: "refused"; readonly why: string };

/**
 * Gives the calling thread this niceness, -20 (first) to 19. Once per process, by its main thread, when the libraries' own
 * threads are there.
 */
export function raiseOwnThread(nice: number): RaiseOutcome {
  const { platform } = process;
  if (platform !== "linux") return { kind: "unknown", platform };
  const from = getPriority(OWN);
  if (nice >= from) return { kind: "already", nice: from };
  try {
    setPriority(OWN, nice);
  } catch (error) {
    return { kind: "refused", why: (error as NodeJS.ErrnoException).message };
  }
  ordinary = from;
  return { kind: "raised", from };
}

/** Undoes it. */
export function restoreOwnThread(): void {
  if (ordinary === null) return;
  setPriority(OWN, ordinary);
  ordinary = null;
}

/** Makes a thread that is not raised, whoever asks: N1. */
export function atOrdinaryPriority<Made>(make: () => Made): Made {
  if (ordinary === null) return make();
  const raised = getPriority(OWN);
  setPriority(OWN, ordinary);
  try {
    return make();
  } finally {
    raiseAgain(raised);
  }
}

/** What may not be had any more, as its capability was dropped, is done without. */
function raiseAgain(nice: number): void {
  try {
    setPriority(OWN, nice);
  } catch {
    ordinary = null;
  }
}
