/** The agents that are set side by side, each as something a load can be put on. */
import type { EmulatorProcess } from "#bench/processes";
import { BENCH_NUMBER, type NodeSettings, type Subject, startSubject } from "#bench/load";
import { startBaselineProcess } from "./process.js";

/** `node-2`: with two shards. */
export const AGENTS = ["plain", "node-1", "node-2"] as const;
export type AgentName = (typeof AGENTS)[number];

const BLOCKING_NODE = new URL("./blocking-node.js", import.meta.url);

export function startAgent(
  name: AgentName,
  calls: number,
  emulators: EmulatorProcess,
  settings: NodeSettings = {},
): Promise<Subject> {
  if (name === "plain") return startPlainAgent(emulators);
  return startSubject({
    // And the one that blocks.
    calls: calls + 1,
    emulators,
    settings,
    entry: BLOCKING_NODE,
    // Without its edge raised above callers and emulators: they share the machine, and the plain agent is not raised either.
    environment: { LUMENTRA_SHARDS: name === "node-1" ? "1" : "2", LUMENTRA_EDGE_NICE: "0" },
  });
}

async function startPlainAgent(emulators: EmulatorProcess): Promise<Subject> {
  const agent = await startBaselineProcess(emulators.environment);
  return {
    target: { url: agent.url, to: BENCH_NUMBER, carrier: "twilio" },
    pid: agent.pid,
    emulators,
    slots: null,
    stop: () => agent.stop(),
  };
}
