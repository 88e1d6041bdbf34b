/** The plain agent in a process of its own. */
import { fileURLToPath } from "node:url";
import { JsonLineProcess, inherited } from "#bench/processes";

const ENTRY = fileURLToPath(new URL("./main.js", import.meta.url));

export interface BaselineProcess {
  readonly pid: number;
  /** `http://127.0.0.1:port`: what a phone is given as a node. */
  readonly url: string;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** @param environment the vendors' addresses and keys, as a node takes them. */
export async function startBaselineProcess(
  environment: Readonly<Record<string, string>>,
): Promise<BaselineProcess> {
  const { process: child, ready } = await JsonLineProcess.start({
    name: "The plain agent",
    script: ENTRY,
    isReady: (line) => line.event === "listening",
    environment: { ...inherited(), ...environment },
  });
  return {
    pid: child.pid,
    url: `http://127.0.0.1:${String(ready.port)}`,
    stop: () => child.stop(),
  };
}
