/** The generator processes of a load, as whoever runs it sees them: reports come merged as they come. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { FromGenerator, GeneratorPlan, GeneratorReport, ToGenerator } from "./records.js";

const ENTRY = fileURLToPath(new URL("generator-main.js", import.meta.url));
/** The nursery is small by default, and what is alive at its end is copied: frames die young when it is larger. */
const NODE_OPTIONS = ["--max-semi-space-size=32"];
/** After the last turn: replies are waited for, calls closed. */
const END_TIMEOUT_MS = 30_000;

export class Generators {
  readonly #children: readonly ChildProcess[];
  readonly #ended: readonly Promise<void>[];
  readonly #killAll: () => void;
  /** Says which of them it is from. */
  onReport: ((report: GeneratorReport, index: number) => void) | null = null;

  /** Started, and idle until `begin`. */
  static async start(count: number): Promise<Generators> {
    const children = Array.from({ length: count }, () =>
      fork(ENTRY, [], { execArgv: NODE_OPTIONS, serialization: "advanced" }),
    );
    const generators = new Generators(children);
    await Promise.all(children.map((child) => once(child, "message")));
    children.forEach((child, index) =>
      child.on("message", (message: FromGenerator) => {
        if (message.kind === "report") generators.onReport?.(message, index);
      }),
    );
    return generators;
  }

  private constructor(children: readonly ChildProcess[]) {
    this.#children = children;
    this.#ended = children.map(
      (child) =>
        new Promise((resolve) => {
          child.once("exit", () => resolve());
        }),
    );
    this.#killAll = () => {
      for (const child of children) child.kill("SIGKILL");
    };
    process.once("exit", this.#killAll);
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid }) => pid!);
  }

  /** Lines go round, so that every generator has its share of each kind. */
  begin(plan: GeneratorPlan): void {
    this.#children.forEach((child, index) => {
      const lines = plan.lines.filter((_, at) => at % this.#children.length === index);
      tell(child, { kind: "start", plan: { ...plan, lines } });
    });
  }

  /** Everybody hangs up. */
  stop(): void {
    for (const child of this.#children) tell(child, { kind: "stop" });
  }

  /** Resolves when all lines are over; what is not by then is killed. */
  async ended(withinMs: number): Promise<void> {
    const kill = setTimeout(this.#killAll, withinMs + END_TIMEOUT_MS);
    await Promise.all(this.#ended);
    clearTimeout(kill);
    process.off("exit", this.#killAll);
  }

  kill(): Promise<void> {
    this.#killAll();
    return this.ended(0);
  }
}

function tell(child: ChildProcess, message: ToGenerator): void {
  if (child.connected) child.send(message);
}
