/** What a command is given: settings of the command line, an open API, and a place to print. */
import type { Command } from "commander";
import { LumentraError } from "#runtime/errors";
import { type Api, connectApi } from "./api.js";
import { exitCodeOf } from "./exit-codes.js";
import { type Output, createOutput } from "./output.js";

export interface CommandContext {
  readonly api: Api;
  readonly output: Output;
  /** Ends with the process' first SIGINT or SIGTERM: streams stop, and the command ends well. */
  readonly stopped: AbortSignal;
}

/** Global options, before or after the command. */
export interface GlobalOptions {
  readonly json: boolean;
  readonly address?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly insecure: boolean;
}

/** Runs `work` with an API from the options and the environment, and turns what happens into an exit code. */
export async function runWithApi(
  command: Command,
  work: (context: CommandContext) => Promise<void>,
): Promise<void> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const output = createOutput(options.json);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  let api: Api | null = null;
  try {
    api = await connectApi(options, process.env);
    await work({ api, output, stopped: stop.signal });
  } catch (error) {
    reportProblem(output, error);
    process.exitCode = exitCodeOf(error);
  } finally {
    api?.close();
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/** Runs `work` without an API, and turns what happens into an exit code. */
export async function runToEnd(command: Command, work: (output: Output) => Promise<void>): Promise<void> {
  const output = createOutput(command.optsWithGlobals<GlobalOptions>().json);
  try {
    await work(output);
  } catch (error) {
    reportProblem(output, error);
    process.exitCode = exitCodeOf(error);
  }
}

function reportProblem(output: Output, error: unknown): void {
  if (!(error instanceof LumentraError)) {
    output.problem(error instanceof Error ? error.message : String(error));
    return;
  }
  output.problem(`${error.message} (${error.code})`);
  const violations = error.detail["violations"];
  if (!Array.isArray(violations)) return;
  for (const { field, description } of violations as { field: string; description: string }[]) {
    output.problem(`  ${field}: ${description}`);
  }
}
