/**
 * Settings from the environment: one schema yields the type, the checks, the defaults and the reference page.
 *
 * ```ts
 * const schema = z.object({
 *   ...sharedSettings,
 *   LUMENTRA_EDGE_PORT: meta(whole(0, 65_535).default(8080), { help: "Port for webhooks." }),
 * });
 * const settings = resolveSettings(schema, process.env, { alsoKnown: settingNames(otherSchema) });
 * settings.LUMENTRA_EDGE_PORT; // a number
 * ```
 */
export { type SettingMeta, type SettingsSchema, flag, meta, text, url, whole } from "./fields.js";
export { type JsonSchema, fieldRows } from "./field-rows.js";
export { type SettingsSection, renderSettingsPage } from "./page.js";
export { type Environment, type ResolveOptions, resolveSettings, settingNames } from "./resolve.js";
export { sharedSettings } from "./shared.js";
