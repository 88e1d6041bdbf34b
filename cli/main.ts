#!/usr/bin/env node
/**
 * `lumentra`: starts the processes, looks after the database, and speaks to the API. Every command says what it
 * does with --help; exit codes are in exit-codes.ts.
 */
import { realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { addCallCommands } from "./commands/call.js";
import { addKeyCommands } from "./commands/key.js";
import { addNodeCommands } from "./commands/node.js";
import { addNumberCommands } from "./commands/number.js";
import { addProcessCommands } from "./commands/process.js";
import { addTenantCommands } from "./commands/tenant.js";
import { addUsageCommand } from "./commands/usage.js";
import { EXIT, EXIT_HELP } from "./exit-codes.js";

export function buildProgram(): Command {
  const program = new Command("lumentra")
    .description("The runtime that answers phone calls with AI agents for many businesses at once.")
    .option("--json", "print JSON instead of tables", false)
    .option("--address <host:port>", "where the API is; LUMENTRA_API_ADDRESS, 127.0.0.1:50051")
    .option(
      "--key <key>",
      "API key; better in LUMENTRA_API_KEY, where other users of the machine do not see it",
    )
    .option("--ca <file>", "authority of the API's certificate, PEM; LUMENTRA_API_CA_FILE")
    .option("--insecure", "clear text to a host that is not this one", false)
    .addHelpText("after", `\n${EXIT_HELP}\n`)
    .showHelpAfterError("(--help says more)")
    .exitOverride();
  const node = addProcessCommands(program);
  addTenantCommands(program);
  addNumberCommands(program);
  addNodeCommands(node);
  addCallCommands(program);
  addKeyCommands(program);
  addUsageCommand(program);
  // Commands inherit what is set on their parents only when they are made after it.
  for (const command of allCommands(program)) command.exitOverride();
  return program;
}

function allCommands(command: Command): readonly Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}

async function main(): Promise<void> {
  try {
    await buildProgram().parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version are asked for; everything else is wrong usage. Commander has said which.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
