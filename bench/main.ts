/**
 * The command line of bench: `npm run demo`, `npm run call -- …`, `npm run bench -- load|charts|rings|…`.
 *
 * What a command runs is loaded when it is asked for: all of it together is a second of computing.
 *
 * Exit codes: 0 done, 1 it did not work out (the message says what), 2 wrong usage, 130 and 143 interrupted.
 */
import { realpathSync } from "node:fs";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { LumentraError } from "#runtime/errors";
import type { CommandOutput } from "./call.js";
import { carrierDialects } from "./caller/carrier.js";
import { OWN_OBJECTIVES, type OwnObjectives } from "./load/capacity.js";
import { BUILT_IN_MIXES } from "./load/mix.js";
import { CALLERS_MAX } from "./load/words.js";
import { exitOnSignals, firstSignalCode, takeFirstSignal } from "./processes/with-us.js";
import { CALLS_PER_WORLD, FAULT_KINDS, type FaultKind, STEPS_MAX } from "./simulator/script.js";
import { SUITE_NAMES, type SuiteName } from "./suites/names.js";

const CARRIER_NAMES = Object.keys(carrierDialects);

const EXIT_USAGE = 2;

/** The parser; `run` takes the exit code of what was asked for. */
export function buildProgram(output: CommandOutput, run: (code: Promise<number>) => void): Command {
  const program = new Command("lumentra-bench")
    .description("Simulated calls against a Lumentra node, and benchmarks.")
    .exitOverride()
    .configureHelp({ sortSubcommands: true });
  addDemoCommand(program, output, run);
  addCallCommand(program, output, run);
  addLoadCommand(program, output, run);
  addLongLoadCommands(program, output, run);
  addSuiteCommands(program, output, run);
  addSimCommand(program, output, run);
  addChartsCommand(program, output, run);
  return program;
}

function addDemoCommand(program: Command, output: CommandOutput, run: (code: Promise<number>) => void): void {
  program
    .command("demo")
    .description("a whole conversation on this machine, with a recording to listen to")
    .option("--out <folder>", "where the WAV and the report go", "out")
    .option("--log", "let the node's log through", false)
    .action((options) => run(import("./demo.js").then(({ runDemo }) => runDemo(options, output))));
}

function addCallCommand(program: Command, output: CommandOutput, run: (code: Promise<number>) => void): void {
  program
    .command("call")
    .description("place one simulated call against a running node (npm start)")
    .option("--to <number>", "number that is called", "+12025550101")
    .option("--from <number>", "caller's number", "+15550100001")
    .option("--say <text>", "a sentence of the caller; several are said in turn", collect, [])
    .option(
      "--barge-in-after <ms>",
      "the last --say interrupts the agent, this long into its speech",
      number(0, 60_000),
    )
    .option("--dtmf <digits>", "keys pressed at the end", digits)
    .option("--echo <db>", "the agent's voice comes back, this many dB quieter", number(-60, 60))
    .option("--echo-delay <ms>", "and this much later", number(0, 2_000), 120)
    .option("--noise <db>", "steady noise, this many dB below speech", number(-10, 90))
    .option("--jitter <ms>", "every message is late by up to this", number(0, 5_000))
    .option("--loss <percent>", "share of audio frames that never arrive", number(0, 100))
    .option(
      "--stall <ms>",
      "the line stalls in the first sentence for this long, then bursts",
      number(1, 30_000),
    )
    .option("--wav <file>", "write the call as a stereo WAV: caller left, agent right")
    .option("--json", "the last line of output is one JSON object: outcome, turns, journal", false)
    .option("--url <url>", "the node's edge", url, "http://127.0.0.1:8080")
    .option("--public-url <url>", "what the node calls itself, if not http://localhost and its port", url)
    .option("--admin-url <url>", "the node's admin port", url, "http://127.0.0.1:9090")
    .addOption(new Option("--carrier <name>", "whose protocol").choices(CARRIER_NAMES).default("twilio"))
    .addOption(
      new Option("--voice <name>", "how the caller sounds").choices(["tones", "spoken"]).default("tones"),
    )
    .option("--auth-token <token>", "sign as the carrier does")
    .action((options) => {
      if (options.say.length === 0) options.say.push("Is there parking?");
      run(import("./call.js").then(({ runCallCommand }) => runCallCommand(options, output)));
    });
}

/** What callers do; the others load a front door. */
const CALL_MIXES = BUILT_IN_MIXES.filter((name) => name !== "webhooks" && name !== "grpc");

const SUITE_SUMMARIES: Readonly<Record<SuiteName, string>> = {
  codec: "a 20 ms frame in each codec and resampler, beside a copy",
  control: "the control plane: placements, journal appends, watchers; Redis too with REDIS_URL",
  edge: "the main thread alone: raw media sockets, shards that only drain their rings",
  memory: "what a call has in use, part by part, after collections in every thread",
  placement: "simulated: a cluster's balance, refusals and time per placement",
  rings: "a record of audio within one thread, between two, and there and back",
  vad: "how soon speech is told from noise, beside WebRTC's detector",
};

function addLoadCommand(program: Command, output: CommandOutput, run: (code: Promise<number>) => void): void {
  program
    .command("load")
    .description("many callers at once against a node: delays, CPU, memory; a report with charts")
    .option("--calls <n>", "calls at once", whole(1, CALLERS_MAX), 20)
    .option("--ramp <s>", "over which they come; 50 a second if not given", number(0, 3_600))
    .option(
      "--settle <s>",
      "and before measuring begins; 3 if not given. Hot code is compiled after some 30",
      number(0, 3_600),
    )
    .option("--seconds <s>", "how long to measure after that", number(0.2, 7 * 86_400), 20)
    .option("--mix <name or file>", `what the callers do: ${BUILT_IN_MIXES.join(", ")}, or a file`, "mixed")
    .option("--processes <n>", "generator processes", whole(1, 64), 1)
    .addOption(setOption("a setting of the node that is started; several may be given"))
    .option("--target <url>", "a node that runs; one is started with emulators if not given", url)
    .option("--public-url <url>", "what it calls itself, if not http://localhost and its port", url)
    .option("--admin-url <url>", "its admin port, for its own figures", url)
    .option("--to <number>", "number that is called", "+12025550101")
    .addOption(new Option("--carrier <name>", "whose protocol").choices(CARRIER_NAMES).default("twilio"))
    .option("--auth-token <token>", "sign as the carrier does")
    .option("--compare <file>", "JSON of an earlier run: what moved beyond noise")
    .option("--out <folder>", "where report and JSON go", "out")
    .option("--json", "the last line of output is one JSON object", false)
    .action((options) => {
      if (options.target !== undefined && Object.keys(options.set).length > 0)
        program.error("error: --set is for a node that is started here, --target for one that runs");
      run(
        import("./load-command.js").then(({ runLoadCommand }) =>
          runLoadCommand(options, output, takeFirstSignal()),
        ),
      );
    });
}

function addLongLoadCommands(
  program: Command,
  output: CommandOutput,
  run: (code: Promise<number>) => void,
): void {
  const common = (name: string, what: string, mix: string): Command =>
    program
      .command(name)
      .description(what)
      .option("--mix <name or file>", `what the callers do: ${CALL_MIXES.join(", ")}, or a file`, mix)
      .option("--processes <n>", "generator processes", whole(1, 64), 1)
      .option("--out <folder>", "where what it leaves goes", "out")
      .option("--json", "the last line of output is one JSON object", false);
  const nodeSetting = setOption("a setting of the node; several may be given");
  common("soak", "a load for hours: fails when memory, descriptors, timers or slots grow", "day")
    .addOption(nodeSetting)
    .option("--hours <h>", "how long", number(0.001, 24 * 365), 1)
    .option("--warm-up <min>", "minutes not looked at (default: a fifth, at most twenty)", number(0, 24 * 60))
    .option("--calls <n>", "calls at once", whole(1, CALLERS_MAX), 50)
    .action((options) => {
      if (options.warmUp >= options.hours * 60)
        program.error("error: a soak must be longer than its warm-up");
      run(
        import("./capacity-command.js").then(({ runSoakCommand }) =>
          runSoakCommand(options, output, takeFirstSignal()),
        ),
      );
    });
  common("capacity", "raises calls until an objective breaks, and names what ran out", "conversation")
    .addOption(nodeSetting)
    .option("--from <n>", "calls of the first step", whole(1, CALLERS_MAX), 50)
    .option("--to <n>", "calls of the last", whole(1, CALLERS_MAX), 1_000)
    .option("--seconds <s>", "how long each step is measured", number(1, 3_600), 15)
    .option("--settle <s>", "of the first step, before measuring begins", number(0, 3_600))
    .addOption(
      new Option(
        "--most <name=ms>",
        `an objective of one's own: ${Object.keys(OWN_OBJECTIVES).join(", ")}; several may be given`,
      )
        .argParser(ownObjective)
        .default({}, "none"),
    )
    .action((options) => {
      if (options.from > options.to) program.error("error: --from must not be above --to");
      run(
        import("./capacity-command.js").then(({ runCapacityCommand }) =>
          runCapacityCommand(options, output, takeFirstSignal()),
        ),
      );
    });
  common(
    "side-by-side",
    "a plain agent and a node under the same load, and while one call blocks",
    "conversation",
  )
    .option(
      "--calls <n>",
      "calls at once; with --capacity-to those of the first step",
      whole(1, CALLERS_MAX),
      100,
    )
    .option("--seconds <s>", "how long to measure each", number(0.2, 3_600), 10)
    .option("--settle <s>", "of each that was just started, before measuring begins", number(0, 3_600))
    .option("--rounds <n>", "how often each has its turn", whole(1, 100), 1)
    .option("--capacity-to <n>", "instead: raise each one's calls, at most to so many", whole(1, CALLERS_MAX))
    .action((options) =>
      run(
        import("./side-by-side-command.js").then(({ runSideBySideCommand }) =>
          runSideBySideCommand(options, output),
        ),
      ),
    );
}

function addSuiteCommands(
  program: Command,
  output: CommandOutput,
  run: (code: Promise<number>) => void,
): void {
  for (const name of SUITE_NAMES) {
    const command = program
      .command(name)
      .description(`benchmark: ${SUITE_SUMMARIES[name]}; see docs/BENCHMARKS.md`)
      .option("--out <folder>", "where its JSON goes", "out")
      .option("--json", "the last line of output is one JSON object", false);
    if (name === "placement") {
      command
        .option("--nodes <n>", "nodes of the cluster", whole(10, 100_000), 1_000)
        .option("--calls <n>", "calls offered; 1,000 per node if not given", whole(1_000, 20_000_000))
        .option("--seed <n>", "another one is another day", whole(0, 2 ** 31), 1);
    } else {
      command.option("--seconds <s>", "how long to measure", number(0.01, 3_600), 10);
    }
    if (name === "control") {
      command
        .option("--rate <n>", "placements offered a second", whole(1, 100_000), 2_000)
        .option("--nodes <n>", "media nodes with a stream", whole(1, 1_000), 50)
        .option("--watchers <n>", "watchers of one tenant's calls", whole(1, 10_000), 100);
    }
    if (name === "edge") {
      command
        .option("--calls <n>", "media sockets at once", whole(1, 4_000), 200)
        .option("--shards <n>", "sink shards", whole(1, 64), 1)
        .option("--speak", "every call is spoken to without a pause", false);
    }
    if (name === "memory") {
      command
        .option(
          "--calls <n>",
          "calls at once; a fifth of them come first, for comparison",
          whole(5, CALLERS_MAX),
          150,
        )
        .option(
          "--mix <name or file>",
          `what the callers do: ${CALL_MIXES.join(", ")}, or a file`,
          "conversation",
        );
    }
    command.action((options) =>
      run(import("./suite-command.js").then(({ runSuite }) => runSuite(name, options, output))),
    );
  }
}

function addSimCommand(program: Command, output: CommandOutput, run: (code: Promise<number>) => void): void {
  program
    .command("sim")
    .description(
      "simulated: whole calls under virtual time, broken at random, with invariants; see CONTRIBUTING.md",
    )
    .option("--calls <n>", "calls, ten to a seed", whole(1, 100_000_000), CALLS_PER_WORLD)
    .option("--seed <n>", "the first seed", whole(0, 2 ** 31), 1)
    .option("--steps <n>", "what a caller does, at most: shorter calls", whole(1, 20), STEPS_MAX)
    .option("--seconds <s>", "goes on with further seeds for so long", number(0, 7 * 86_400))
    .addOption(
      new Option("--faults <kinds>", `some of ${FAULT_KINDS.join(",")}, or none`)
        .argParser(faultKinds)
        .default(FAULT_KINDS, "all"),
    )
    .option("--script <file>", "one world from a script that a failure printed, in place of seeds")
    .action((options) => run(import("#bench/simulator").then(({ runSim }) => runSim(options, output))));
}

function addChartsCommand(
  program: Command,
  output: CommandOutput,
  run: (code: Promise<number>) => void,
): void {
  program
    .command("charts")
    .description("SVG charts of what load, soak, capacity, side-by-side and edge left as JSON")
    .argument("<files...>", "their JSON; several loads of one mix, or of the edge, become a chart by calls")
    .option("--out <folder>", "where the SVG files go", "docs/charts")
    .action((files, options) =>
      run(
        import("./charts-command.js").then(({ runChartsCommand }) =>
          runChartsCommand(files, options, output),
        ),
      ),
    );
}

function faultKinds(list: string): readonly FaultKind[] {
  if (list === "none") return [];
  return list.split(",").map((name) => {
    const kind = FAULT_KINDS.find((known) => known === name);
    if (kind === undefined)
      throw new InvalidArgumentError(`kinds are ${FAULT_KINDS.join(", ")}, with commas between, or none.`);
    return kind;
  });
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  if (value.trim() === "") throw new InvalidArgumentError("it is empty.");
  return [...previous, value];
}

function setOption(what: string): Option {
  return new Option("--set <name=value>", what).argParser(setting).default({}, "none");
}

/** `NAME=value`, as an environment has it; what the node makes of it, it tells itself. */
function setting(text: string, previous: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const [, name, value] = /^([A-Z][A-Z0-9_]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("it must be like LUMENTRA_SHARDS=2.");
  return { ...previous, [name]: value! };
}

function ownObjective(text: string, previous: OwnObjectives): OwnObjectives {
  const [, name = "", value = ""] = /^([a-z]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (!Object.hasOwn(OWN_OBJECTIVES, name))
    throw new InvalidArgumentError(
      `it must be like added=150, of ${Object.keys(OWN_OBJECTIVES).join(", ")}.`,
    );
  return { ...previous, [name]: Number(value) };
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value) || value < min || value > max) {
      throw new InvalidArgumentError(`it must be a number from ${min} to ${max}.`);
    }
    return value;
  };
}

function whole(min: number, max: number): (text: string) => number {
  const parse = number(min, max);
  return (text) => {
    const value = parse(text);
    if (!Number.isInteger(value)) throw new InvalidArgumentError("it must be a whole number.");
    return value;
  };
}

function digits(text: string): string {
  if (!/^[0-9*#A-D]{1,32}$/.test(text))
    throw new InvalidArgumentError("keys are 0-9, *, # and A-D, at most 32.");
  return text;
}

function url(text: string): string {
  if (!URL.canParse(text) || !["http:", "https:"].includes(new URL(text).protocol)) {
    throw new InvalidArgumentError("it must be an http or https URL.");
  }
  return text;
}

/** Resolves with the exit code. */
export async function main(parameters: readonly string[], output: CommandOutput): Promise<number> {
  let code: Promise<number> = Promise.resolve(0);
  try {
    buildProgram(output, (running) => {
      code = running;
    }).parse(parameters, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  try {
    return await code;
  } catch (error) {
    const interrupted = firstSignalCode();
    if (interrupted !== null) {
      console.error("Interrupted before anything was measured.");
      return interrupted;
    }
    // What we foresaw has a message for people; anything else is a bug and shows where it is.
    const foreseen = error instanceof LumentraError || (error instanceof Error && error.name === "Error");
    console.error(foreseen ? error.message : error);
    return 1;
  }
}

const isEntry =
  process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url);
if (isEntry) {
  exitOnSignals();
  // Whoever reads us (head, a closed terminal) may have seen enough; that is no failure of ours.
  process.stdout.on("error", () => process.exit());
  process.exitCode = await main(process.argv.slice(2), {
    write: (text) => process.stdout.write(text),
    // Not by isTTY, which is undefined in a pipe, whatever its type says, and means "as you like" to the printer.
    colors: isatty(process.stdout.fd) && process.env.NO_COLOR === undefined,
    columns: Math.min(120, process.stdout.columns ?? 100),
  });
}
