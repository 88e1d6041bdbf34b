/**
 * How long processes stood still while a test ran, as its machine sometimes makes them. Each is asked something every
 * so often: time in which it owed an answer and neither it nor who asked computed is time in which somebody did not run.
 * What a process computes itself excuses nothing, so a node that is slow under load is found out as ever.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Short beside what anybody notices, and no load. */
const ASK_EVERY_MS = 50;

export interface Watched {
  readonly pid: number;
  /** Answered at once, by the thread that matters. */
  readonly url: string;
}

export class StandstillWatch {
  readonly #longestMs: number[];
  readonly #loops: Promise<void>[];
  #isOver = false;

  constructor(watched: readonly Watched[]) {
    this.#longestMs = [0, ...watched.map(() => 0)];
    this.#loops = watched.map((process, index) => this.#watch(process, index + 1));
  }

  /** The longest of each process, this one too, added up: as much may have been added to one answer. Since last asked. */
  takeMs(): number {
    const sum = this.#longestMs.reduce((total, longest) => total + longest, 0);
    this.#longestMs.fill(0);
    return sum;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async #watch({ pid, url }: Watched, index: number): Promise<void> {
    while (!this.#isOver) {
      const idle = idleMs([pid, process.pid]);
      await fetch(url)
        .then((response) => response.arrayBuffer())
        .catch(() => {}); // on its way out
      this.#note(index, idle());
      const asleep = idleMs([process.pid]);
      await sleep(ASK_EVERY_MS);
      this.#note(0, asleep() - ASK_EVERY_MS);
    }
  }

  #note(index: number, longMs: number): void {
    this.#longestMs[index] = Math.max(this.#longestMs[index]!, longMs);
  }
}

/** Time from here on that none of the main threads of these computed. */
function idleMs(pids: readonly number[]): () => number {
  const computed = (): number => pids.reduce((sum, pid) => sum + computedMs(pid), 0);
  const fromMs = performance.now();
  const before = computed();
  return () => performance.now() - fromMs - Math.max(0, computed() - before);
}

function computedMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[0]) / 1e6;
  } catch {
    return 0; // it is gone
  }
}
