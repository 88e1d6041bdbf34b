/**
 * A child process that says in one JSON line on its standard output that it is ready. It never outlives us:
 * it is stopped with us, and the end of what it wrote is kept for the message when it fails: its log is on standard
 * output, what it says to people on standard error.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { goesWithUs } from "./with-us.js";

/** A node starts in well under a second, loading a voice takes a few, and two nodes took 34 of a machine that did too much. */
const READY_TIMEOUT_MS = 60_000;
/** After SIGTERM a node may drain; later than this it is killed. */
const STOP_GRACE_MS = 5_000;
/** What is kept of its words: the last lines are the ones that tell. */
const TAIL_CHARS_MAX = 16_384;

export interface JsonLineProcessOptions {
  /** For messages: "the node". */
  readonly name: string;
  readonly script: string;
  readonly parameters?: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether this line is the one; others, such as a log on standard output, are passed over. */
  readonly isReady: (line: Readonly<Record<string, unknown>>) => boolean;
  /** Passed through as well when set. @default false */
  readonly showStderr?: boolean;
  /** Ctrl-C in our terminal is not for it. Only for one that ends when its standard input does. @default false */
  readonly apart?: boolean;
}

export class JsonLineProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #isReady: JsonLineProcessOptions["isReady"];
  #tail = "";

  /** Resolves with the process and the line that said it was ready, parsed. */
  static async start(
    options: JsonLineProcessOptions,
  ): Promise<{ readonly process: JsonLineProcess; readonly ready: Readonly<Record<string, unknown>> }> {
    const running = new JsonLineProcess(options);
    return { process: running, ready: await running.#readyLine() };
  }

  private constructor(options: JsonLineProcessOptions) {
    this.#name = options.name;
    this.#isReady = options.isReady;
    // As in production, without source maps: see scripts/source-stack.ts.
    this.#child = spawn(process.execPath, [options.script, ...(options.parameters ?? [])], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: options.apart === true,
      env: { ...options.environment },
    });
    this.#child.stderr!.on("data", (chunk: Buffer) => {
      const text = chunk.toString();
      if (options.showStderr === true) process.stderr.write(text);
      this.#keep(text);
    });
    this.#child.once(
      "exit",
      goesWithUs(() => this.#child.kill("SIGKILL")),
    );
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** The end of what it wrote, the line apart that said it was ready. */
  get logTail(): string {
    return this.#tail;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGTERM, and SIGKILL for what does not end by itself. Idempotent. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    if (!this.running) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const kill = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await exited;
    clearTimeout(kill);
  }

  /** SIGKILL, and waits until it is gone. Idempotent. */
  async kill(): Promise<void> {
    if (!this.running) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  #keep(text: string): void {
    this.#tail = (this.#tail + text).slice(-TAIL_CHARS_MAX);
  }

  async #readyLine(): Promise<Readonly<Record<string, unknown>>> {
    const lines = createInterface({ input: this.#child.stdout! });
    const ready = new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        act();
      };
      const fail = (why: string): void => {
        const words = this.#tail.trim();
        settle(() => reject(new Error(`${this.#name} ${why}${words === "" ? "" : `:\n${words}`}`)));
      };
      const timer = setTimeout(() => fail(`did not get ready in ${READY_TIMEOUT_MS} ms`), READY_TIMEOUT_MS);
      // Listening on after that one, too: what follows must not fill the pipe.
      lines.on("line", (text) => {
        const line = parseObject(text);
        if (line !== null && this.#isReady(line)) settle(() => resolve(line));
        else this.#keep(`${text}\n`);
      });
      this.#child.once("error", (error) => fail(`could not be started (${error.message})`));
      // "close", not "exit": by then all of standard error has arrived.
      this.#child.once("close", (code) => fail(`ended with code ${code} before it was ready`));
    });
    try {
      return await ready;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? (value as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return null;
  }
}
