/**
 * The control plane: the gRPC API over Postgres and Redis.
 *
 * ```ts
 * const settings = resolveSettings(process.env, { alsoKnown: settingNames(nodeSettings) });
 * const running = await startControlPlane({ settings, store, directory, log });
 * await running.drain(10_000);
 * await running.close();
 * ```
 */
export { type ControlPlaneParts, type RunningControlPlane, startControlPlane } from "./control-plane.js";
export { runControlPlane } from "./run.js";
export { type Settings, resolveSettings, settingsSchema } from "./settings.js";
