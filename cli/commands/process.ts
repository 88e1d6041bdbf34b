/** `lumentra node|control-plane|up|migrate|doctor`: the processes themselves and what they stand on. */
import type { Command } from "commander";
import { migrate } from "#control-plane/store";
import { runControlPlane } from "#control-plane";
import { runNode } from "#node";
import { LumentraError } from "#runtime/errors";
import { createLogger } from "#runtime/telemetry";
import { type GlobalOptions, runToEnd } from "../context.js";
import { runDoctor } from "../doctor/doctor.js";
import { createOutput } from "../output.js";
import { ALL_NAMES, controlPlaneSchema, environmentFor, nodeSchema } from "../settings.js";
import { resolveSettings } from "#runtime/settings";
import { runUp } from "../up.js";

/** Returns the `node` command, to which its operators' commands are added. */
export function addProcessCommands(program: Command): Command {
  program
    .command("up")
    .description(
      "everything on this machine: Postgres, control plane, node, emulators for providers without a key",
    )
    .action((_options, command: Command) => run(command, () => runUp(withInsecure(command))));

  const node = program
    .command("node")
    .description("a media node; with a command, what operators see of nodes and tell them")
    .addHelpText("after", "\nWithout a command it serves until SIGTERM. Settings: docs/SETTINGS.md.\n")
    .action((_options, command: Command) =>
      run(command, () => runNode(environmentFor(nodeSchema, known(withInsecure(command))))),
    );

  program
    .command("control-plane")
    .description("a control plane; run as many as you like over the same Postgres and Redis")
    .action((_options, command: Command) =>
      run(command, () => runControlPlane(environmentFor(controlPlaneSchema, known(withInsecure(command))))),
    );

  program
    .command("migrate")
    .description("bring the database to this version; safe to run twice, and by several at once")
    .action((_options, command: Command) =>
      run(command, async () => {
        const { DATABASE_URL: appUrl, LUMENTRA_DATABASE_OWNER_URL: ownerUrl } = resolveSettings(
          controlPlaneSchema,
          process.env,
          { alsoKnown: ALL_NAMES },
        );
        if (appUrl === undefined || ownerUrl === undefined) {
          throw new LumentraError(
            "SETTING_INVALID",
            "DATABASE_URL and LUMENTRA_DATABASE_OWNER_URL are both needed; `lumentra up` migrates its own database",
          );
        }
        const applied = await migrate({
          ownerUrl,
          appUrl,
          log: createLogger({ level: "info", name: "migrate" }),
        });
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
      run(command, () => runDoctor(process.env, createOutput(command.optsWithGlobals<GlobalOptions>().json))),
    );
  return node;
}

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

/** Unknown variables are found here, where all names are known. @throws LumentraError SETTING_INVALID */
function known(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  const unknown = Object.keys(environment).find(
    (name) => name.startsWith("LUMENTRA_") && environment[name] !== "" && !ALL_NAMES.includes(name),
  );
  if (unknown === undefined) return environment;
  throw new LumentraError("SETTING_INVALID", `${unknown} is not a setting (docs/SETTINGS.md lists them all)`);
}
