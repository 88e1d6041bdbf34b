/** `lumentra node|control-plane|up|migrate|doctor`: the processes themselves and what they stand on. */
import type { Command } from "commander";
import { type GlobalOptions, runToEnd } from "../context.js";
import { createOutput } from "../output.js";

/** Returns the `node` command, to which its operators' commands are added. */
export function addProcessCommands(program: Command): Command {
  program
    .command("up")
    .description(
      "everything on this machine: Postgres, control plane, node, emulators for providers without a key",
    )
    .action((_options, command: Command) =>
      run(command, async () => (await import("../up.js")).runUp(withInsecure(command))),
    );

  const node = program
    .command("node")
    .description("a media node; with a command, what operators see of nodes and tell them")
    .addHelpText("after", "\nWithout a command it serves until SIGTERM. Settings: docs/SETTINGS.md.\n")
    .action((_options, command: Command) =>
      run(command, async () => (await processes()).node(withInsecure(command))),
    );

  program
    .command("control-plane")
    .description("a control plane; run as many as you like over the same Postgres and Redis")
    .action((_options, command: Command) =>
      run(command, async () => (await processes()).controlPlane(withInsecure(command))),
    );

  program
    .command("migrate")
    .description("bring the database to this version; safe to run twice, and by several at once")
    .action((_options, command: Command) =>
      run(command, async () => {
        const applied = await (await processes()).migrateDatabase(process.env);
        const output = createOutput(command.optsWithGlobals<GlobalOptions>().json);
        output.result({ applied }, () =>
          applied.length === 0 ? "Nothing to do." : `Applied ${applied.join(", ")}.`,
        );
        return 0;
      }),
    );

  program
    .command("doctor")
    .description("check settings, ports, database, Redis, providers and clocks, and say what to do")
    .action((_options, command: Command) =>
      run(command, async () => {
        const { runDoctor } = await import("../doctor/doctor.js");
        return runDoctor(process.env, createOutput(command.optsWithGlobals<GlobalOptions>().json));
      }),
    );
  return node;
}

/** Loaded when one is started: a command that only asks the API would wait a second for them. */
const processes = () => import("../processes.js");

/** `work` gives the exit code. */
function run(command: Command, work: () => Promise<number>): Promise<void> {
  return runToEnd(command, async () => {
    process.exitCode = await work();
  });
}

/** `--insecure` is the setting by another name. */
function withInsecure(command: Command): Readonly<Record<string, string | undefined>> {
  const { insecure } = command.optsWithGlobals<GlobalOptions>();
  return insecure ? { ...process.env, LUMENTRA_INSECURE: "true" } : process.env;
}
