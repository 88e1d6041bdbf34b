/**
 * The generator processes of a load, as whoever runs it sees them: reports come merged as they come.
 *
 * P1 one that ends before it said that its lines are over takes with it what it had not reported: that is a failure of
 *    the load, however right the rest was.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { goesWithUs } from "#bench/processes";
import type { FromGenerator, GeneratorPlan, GeneratorReport } from "./records.js";

const ENTRY = fileURLToPath(new URL("generator-main.js", import.meta.url));
/** The nursery is small by default, and what is alive at its end is copied: frames die young when it is larger. */
const NODE_OPTIONS = ["--max-semi-space-size=32"];
/** After the last turn: replies are waited for, calls closed. */
const END_TIMEOUT_MS = 30_000;

export class Generators {
  readonly #children: readonly ChildProcess[];
  /** Each with what it takes with it, or null (P1). */
  readonly #ended: readonly Promise<string | null>[];
  readonly #killAll: () => void;
  readonly #forget: () => void;
  /** Says which of them it is from. */
  onReport: ((report: GeneratorReport, index: number) => void) | null = null;

  /** Started, and idle until `begin`. `entry`: for tests of what becomes of one that dies. */
  static async start(count: number, entry = ENTRY): Promise<Generators> {
    const children = Array.from({ length: count }, () =>
      fork(entry, [], { execArgv: NODE_OPTIONS, serialization: "advanced" }),
    );
    const generators = new Generators(children);
    const isReady = Promise.all(children.map((child) => once(child, "message")));
    const lost = await Promise.race([isReady.then(() => null), ...generators.#ended]);
    if (lost !== null) {
      await generators.kill();
      throw new Error(`a load cannot begin: ${lost}`);
    }
    children.forEach((child, index) =>
      child.on("message", (message: FromGenerator) => {
        if (message.kind === "report") generators.onReport?.(message, index);
      }),
    );
    return generators;
  }

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
    this.#ended = children.map((child, index) => endOf(child, index));
    this.#killAll = () => {
      for (const child of children) child.kill("SIGKILL");
    };
    this.#forget = goesWithUs(this.#killAll);
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid }) => pid!);
  }

  /** Lines go round, so that every generator has its share of each kind. */
  begin(plan: GeneratorPlan): void {
    this.#children.forEach((child, index) => {
      const lines = plan.lines.filter((_, at) => at % this.#children.length === index);
      if (child.connected) child.send({ ...plan, lines } satisfies GeneratorPlan);
    });
  }

  /** Resolves when all lines are over, with what went wrong with whole generators; what is not over by then is killed. */
  async ended(withinMs: number): Promise<readonly string[]> {
    const kill = setTimeout(this.#killAll, withinMs + END_TIMEOUT_MS);
    const lost = await Promise.all(this.#ended);
    clearTimeout(kill);
    this.#forget();
    return lost.filter((what) => what !== null);
  }

  async kill(): Promise<void> {
    this.#killAll();
    await this.ended(0);
  }
}

/** P1. Never rejects. */
function endOf(child: ChildProcess, index: number): Promise<string | null> {
  let isOver = false;
  child.on("message", ({ kind }: FromGenerator) => {
    if (kind === "ended") isOver = true;
  });
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      const settle = (): void =>
        resolve(isOver ? null : `generator ${index} ${how} before its lines were over`);
      // What it said last may be on its way still.
      if (child.connected) child.once("disconnect", settle);
      else settle();
    });
  });
}
