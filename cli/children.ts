/**
 * The processes of `lumentra up`, each with a coloured name before its lines. They are stopped in the reverse
 * order of their start, each given time to finish; when one of them ends unasked, so does the rest.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import pc from "picocolors";

/** A child that has not ended this long after SIGTERM is killed. The node's drain grace comes on top. */
const STOP_GRACE_MS = 10_000;
/** Loading everything on a busy machine takes seconds, a first start of Postgres too. */
const READY_TIMEOUT_MS = 60_000;
/** Kept of a child's output to say why it did not start. */
const LAST_LINES_MAX = 20;

const COLORS = [pc.cyan, pc.magenta, pc.green, pc.yellow, pc.blue];

export interface ChildOptions {
  readonly name: string;
  readonly script: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Given each line of standard output that is JSON; true: that is the line that says it serves. */
  readonly isReady: (line: Readonly<Record<string, unknown>>) => boolean;
  /** How long it may take to finish after SIGTERM. @default 10 s */
  readonly stopGraceMs?: number;
}

interface Child {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly stopGraceMs: number;
}

export class Children {
  readonly #children: Child[] = [];
  readonly #write: (line: string) => void;
  #onExit: (name: string, code: number | null) => void = () => {};
  /** Set once they are stopped: none is started any more. */
  #stopped: Promise<void> | null = null;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Called when one ends by itself. */
  onExit(listener: (name: string, code: number | null) => void): void {
    this.#onExit = listener;
  }

  /** A writer of lines with this name before them. */
  prefixed(name: string): (line: string) => void {
    const color = COLORS[this.#colorIndex++ % COLORS.length]!;
    const prefix = color(`${name.padEnd(13)}|`);
    return (line) => this.#write(`${prefix} ${line}`);
  }
  #colorIndex = 0;

  /** Resolves with the line that said it serves. Throws with its last words when it ends before, or all are stopped. */
  async start(options: ChildOptions): Promise<Readonly<Record<string, unknown>>> {
    const { name, script, environment, isReady } = options;
    if (this.#stopped !== null) throw new Error(`${name} was not started: the others are being stopped`);
    const write = this.prefixed(name);
    const child = spawn(process.execPath, [script], {
      env: environment,
      // Its own group: a Ctrl-C in the terminal reaches us alone, and we stop them in order.
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const lastLines: string[] = [];
    const show = (line: string): void => {
      lastLines.push(line);
      if (lastLines.length > LAST_LINES_MAX) lastLines.shift();
      write(line);
    };
    createInterface({ input: child.stderr }).on("line", show);
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
    this.#children.push({ process: child, exited, stopGraceMs: options.stopGraceMs ?? STOP_GRACE_MS });
    let isServing = false;
    void exited.then((code) => {
      if (isServing && this.#stopped === null) this.#onExit(name, code);
    });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${name} was not ready in ${READY_TIMEOUT_MS / 1000} s`)),
        READY_TIMEOUT_MS,
      );
      createInterface({ input: child.stdout }).on("line", (line) => {
        const parsed = isServing ? null : parseObject(line);
        if (parsed === null || !isReady(parsed)) return show(line);
        isServing = true;
        clearTimeout(timer);
        resolve(parsed);
      });
      void exited.then((code) => {
        clearTimeout(timer);
        reject(new Error(`${name} ended with ${code}: ${lastLines.slice(-3).join(" / ")}`));
      });
    });
  }

  /** Resolves when all have ended. Idempotent; in any state, also while one is on its way up. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  /** Those that are left end now. */
  kill(): void {
    void this.stop();
    for (const child of this.#children) killGroup(child);
  }

  async #stopInOrder(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.process.exitCode !== null || child.process.signalCode !== null) continue;
      child.process.kill("SIGTERM");
      const timer = setTimeout(() => killGroup(child), child.stopGraceMs);
      await child.exited;
      clearTimeout(timer);
    }
  }
}

/** With all it has started: a node's processes would drain on without their parent. */
function killGroup({ process: leader }: Child): void {
  if (leader.pid === undefined || leader.exitCode !== null || leader.signalCode !== null) return;
  try {
    process.kill(-leader.pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}

function parseObject(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith("{")) return null;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}
