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
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

/** For programs: a signal ends us by way of exit(), so that what is to go with us does. */
export function exitOnSignals(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) process.on(signal, () => process.exit(code));
}
