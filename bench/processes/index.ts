/**
 * A node and the provider emulators as processes of their own, and what the kernel says they used.
 *
 * ```ts
 * const emulators = await startEmulatorProcess({ voice: "spoken" });
 * const node = await startNodeProcess({ environment: emulators.environment });
 * const before = readUsage(node.pid);
 * // … calls to node.edgeUrl …
 * const { cpuMs } = usageSince(before, readUsage(node.pid), node.pid);
 * await node.stop();
 * await emulators.stop();
 * ```
 */
export { type Balancer, startBalancer } from "./balancer.js";
export {
  type ControlPlaneProcess,
  type ControlPlaneProcessOptions,
  startControlPlaneProcess,
} from "./control-plane-process.js";
export {
  type EmulatorProcess,
  type EmulatorProcessOptions,
  startEmulatorProcess,
} from "./emulator-process.js";
export { inherited } from "./inherited.js";
export { JsonLineProcess } from "./json-line-process.js";
export { type NodeProcess, type NodeProcessOptions, UNPRESSED, startNodeProcess } from "./node-process.js";
export {
  type ScratchFolder,
  exitOnSignals,
  firstSignalCode,
  goesWithUs,
  makeScratchFolder,
  takeFirstSignal,
} from "./with-us.js";
export { type ProcessUsage, type UsedSince, readUsage, usageSince } from "./usage.js";
