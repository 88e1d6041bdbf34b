/**
 * Tenants: the businesses we answer for.
 *
 * ```ts
 * const directory = new FileTenantDirectory({ path: "config/tenants.json", clock, log });
 * const tenant = directory.byNumber("+12025550101");
 * if (tenant) openingAt(tenant, clock.unixMs()).open;
 * directory.onChange((tenants) => pool.configure({ tenants }));
 * ```
 */
export type { TenantDirectory } from "./directory.js";
export { FileTenantDirectory, parseTenantsFile } from "./file-directory.js";
export { describeHours, type Opening, openingAt } from "./hours.js";
export {
  LLM_NAMES,
  type LlmName,
  STT_NAMES,
  type SttName,
  TTS_NAMES,
  type TtsName,
} from "./provider-names.js";
export { type TenantConfig, type Weekday, tenantSchema, tenantsFileSchema } from "./tenant.js";
export {
  type TenantSettings,
  type TenantSnapshot,
  tenantFromProto,
  tenantSettingsFromProto,
  tenantSettingsSchema,
  tenantSettingsToProto,
  tenantToProto,
} from "./tenant-proto.js";
