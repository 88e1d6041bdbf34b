/**
 * Everything on one machine: starts the emulators for providers without a key, says so, then the node, each
 * its own process. Signals are passed on; when one of them ends, so does the rest.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import { LumentraError } from "#runtime/errors";
import { providersWithoutKey } from "./provider-settings.js";
import { type Environment, resolveSettings } from "./settings.js";

/** By path, not by import: the emulators belong to bench, and a node without them must start. */
const EMULATORS_ENTRY = fileURLToPath(new URL("../bench/emulators/main.js", import.meta.url));
const NODE_ENTRY = fileURLToPath(new URL("./main.js", import.meta.url));

async function main(): Promise<void> {
  let missing: readonly string[];
  try {
    missing = providersWithoutKey(resolveSettings(process.env));
  } catch (error) {
    process.stderr.write(`lumentra: ${error instanceof LumentraError ? error.message : String(error)}\n`);
    process.exitCode = 2;
    return;
  }
  const children: ChildProcess[] = [];
  let environment: Environment = process.env;
  if (missing.length > 0) {
    console.error(
      pc.yellow(`No key for ${missing.join(", ")}: emulated. Nothing leaves this machine for them.`),
    );
    const emulators = spawn(process.execPath, [EMULATORS_ENTRY], { stdio: ["pipe", "pipe", "inherit"] });
    children.push(emulators);
    environment = { ...process.env, ...(await emulatedEnvironment(emulators, missing)) };
  }
  const node = spawn(process.execPath, ["--enable-source-maps", NODE_ENTRY], {
    stdio: "inherit",
    env: environment,
  });
  children.push(node);

  const passOn = (signal: NodeJS.Signals): void => void node.kill(signal);
  process.on("SIGTERM", passOn);
  process.on("SIGINT", passOn);
  node.on("exit", (code) => {
    process.exitCode = code ?? 1;
    for (const child of children) child.kill("SIGTERM");
    process.off("SIGTERM", passOn);
    process.off("SIGINT", passOn);
  });
}

/** Waits for the emulators' one line and takes from it what belongs to the providers that are emulated. */
async function emulatedEnvironment(
  emulators: ChildProcess,
  providers: readonly string[],
): Promise<Record<string, string>> {
  const lines = createInterface({ input: emulators.stdout! });
  const line = await new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    emulators.once("exit", (code) => reject(new Error(`the emulators ended with ${code}`)));
  });
  const { env } = JSON.parse(line) as { env: Record<string, string> };
  const wanted = Object.entries(env).filter(([name]) =>
    providers.some((provider) => name.startsWith(`${provider.toUpperCase()}_`)),
  );
  return { ...Object.fromEntries(wanted), LUMENTRA_EMULATED: providers.join(",") };
}

await main();
