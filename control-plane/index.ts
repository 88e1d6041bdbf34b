/**
 * The control plane: the gRPC API over Postgres and Redis.
 *
 * ```ts
 * const settings = resolveSettings(process.env, { alsoKnown: settingNames(nodeSettings) });
 * ```
 */
export { type Settings, resolveSettings, settingsSchema } from "./settings.js";
