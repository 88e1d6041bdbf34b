/**
 * The composition root: a media node from settings.
 *
 * ```ts
 * const node = await startNode(resolveSettings(process.env));
 * await node.drain(60_000);
 * await node.close();
 * ```
 */
export { type RunningNode, startNode } from "./node.js";
export { providersWithoutKey } from "./provider-settings.js";
export { runNode } from "./run.js";
export { type Environment, type Settings, resolveSettings, settingsSchema } from "./settings.js";
