/**
 * The provider emulators in a process of their own, so that their CPU and memory are not the node's, steered
 * over their control endpoint.
 */
import { fileURLToPath } from "node:url";
import type { EmulatorUrls, LatencyCommand } from "#bench/emulators";
import { EmulatorRemote } from "./emulator-remote.js";
import { JsonLineProcess } from "./json-line-process.js";

const EMULATORS_ENTRY = fileURLToPath(new URL("../emulators/main.js", import.meta.url));

export interface EmulatorProcessOptions {
  /** How the agent sounds. @default "tones" */
  readonly voice?: "tones" | "spoken";
  /** Of the drawn latencies. @default 1 */
  readonly seed?: number;
  /** What differs from the usual latencies. */
  readonly latency?: LatencyCommand;
  /** How much faster than spoken speech is delivered. @default 20 */
  readonly ttsFactor?: number;
}

export interface EmulatorProcess {
  readonly pid: number;
  readonly urls: EmulatorUrls;
  /** What a node is to be started with to use them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly controlUrl: string;
  readonly remote: EmulatorRemote;
  /** Resolves when the process is gone. Idempotent. */
  stop(): Promise<void>;
}

/** It ends with this process, however this one ends. */
export async function startEmulatorProcess(options: EmulatorProcessOptions = {}): Promise<EmulatorProcess> {
  const { process: child, ready } = await JsonLineProcess.start({
    name: "The emulators",
    // A load that is interrupted asks them once more for what they know.
    apart: true,
    script: EMULATORS_ENTRY,
    isReady: (line) => line.kind === "ready",
    parameters: parametersOf(options),
    // Loaders of ours are not for it.
    environment: { ...process.env, NODE_OPTIONS: "" },
  });
  const controlUrl = String(ready.controlUrl);
  return {
    pid: child.pid,
    urls: ready.urls as EmulatorUrls,
    environment: {
      ...(ready.env as Record<string, string>),
      LUMENTRA_EMULATED: Object.keys(ready.urls as EmulatorUrls).join(","),
    },
    controlUrl,
    remote: new EmulatorRemote(controlUrl),
    stop: () => child.stop(),
  };
}

function parametersOf(options: EmulatorProcessOptions): string[] {
  const parameters: string[] = [];
  const pass = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) parameters.push(`--${name}`, String(value));
  };
  pass("voice", options.voice);
  pass("seed", options.seed);
  pass("latency", options.latency && JSON.stringify(options.latency));
  pass("tts-factor", options.ttsFactor);
  return parameters;
}
