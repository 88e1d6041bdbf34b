/**
 * What goes when we go, however we go: processes that we started, and folders for what they write. Who stops a benchmark
 * with Ctrl-C leaves neither behind.
 *
 * W1 the last one first: a folder goes after those who write to it.
 */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** As many as there are processes and folders at once, each taken out when it is gone. */
const acts = new Set<() => void>();

/** `act` is done as this process exits. What is returned takes it back. */
export function goesWithUs(act: () => void): () => void {
  if (acts.size === 0) process.once("exit", actAll);
  acts.add(act);
  return () => {
    acts.delete(act);
    if (acts.size === 0) process.off("exit", actAll);
  };
}

/** W1 */
function actAll(): void {
  for (const act of [...acts].toReversed()) act();
}

export interface ScratchFolder {
  readonly path: string;
  /** Idempotent. */
  remove(): Promise<void>;
}

/** Who was killed a moment ago may write on for another. */
const REMOVED = { recursive: true, force: true, maxRetries: 5, retryDelay: 20 } as const;

/** `lumentra-${purpose}-…` where the system has such folders. */
export async function makeScratchFolder(purpose: string): Promise<ScratchFolder> {
  const path = await mkdtemp(join(tmpdir(), `lumentra-${purpose}-`));
  const forget = goesWithUs(() => rmSync(path, REMOVED));
  return {
    path,
    remove: async () => {
      await rm(path, REMOVED);
      forget();
    },
  };
}

/** 128 and the signal's number, as shells count. */
const EXIT_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** npm passes on what the terminal has sent to us as well: so soon after the first a signal is the same once more. */
const SAME_SIGNAL_MS = 500;

let firstSignal: AbortController | null = null;
let firstAtMs = Number.NEGATIVE_INFINITY;

/**
 * For programs: a signal ends us by way of exit(), so that what is to go with us does. Where somebody has asked for the
 * first one (`takeFirstSignal`), the second does.
 */
export function exitOnSignals(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) {
    process.on(signal, () => {
      if (firstSignal?.signal.aborted === false) {
        firstAtMs = performance.now();
        firstSignal.abort(code);
      } else if (performance.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(code);
    });
  }
}

/** The exit code of the first signal that came to whoever had asked for it; null when none did. */
export function firstSignalCode(): number | null {
  return firstSignal?.signal.aborted === true ? (firstSignal.signal.reason as number) : null;
}

/** For a command that has something to leave when it is interrupted: aborted by the first signal, with its exit code. */
export function takeFirstSignal(): AbortSignal {
  firstSignal ??= new AbortController();
  return firstSignal.signal;
}
