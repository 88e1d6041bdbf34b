/** The first start's contents: a reseller, the tenants of config/tenants.json and their numbers, over the API. */
import { readFile } from "node:fs/promises";
import { tenantsFileSchema, tenantSettingsToProto } from "#actors/tenants";
import type { Api } from "./api.js";

const DEMO_RESELLER = "demo";

/** Makes what is missing and returns the reseller's new key. Done again after an interruption it goes on. */
export async function seedDemo(api: Api, tenantsFile: string, scopes: readonly string[]): Promise<string> {
  const { tenants } = tenantsFileSchema.parse(JSON.parse(await readFile(tenantsFile, "utf8")));
  const requestId = (what: string): string => `first-start-${what}`;
  await api.call("ResellerService", "CreateReseller", {
    reseller: { id: DEMO_RESELLER, name: "Demo reseller" },
    requestId: requestId(DEMO_RESELLER),
  });
  for (const { id, numbers, ...settings } of tenants) {
    await api.call("TenantService", "CreateTenant", {
      tenant: { id, resellerId: DEMO_RESELLER, config: tenantSettingsToProto(settings) },
      requestId: requestId(id),
    });
    for (const number of numbers) {
      await api.call("PhoneNumberService", "CreatePhoneNumber", {
        phoneNumber: { number, tenantId: id },
        requestId: requestId(number),
      });
    }
  }
  const { secret } = await api.call("ResellerService", "CreateApiKey", {
    resellerId: DEMO_RESELLER,
    name: "first key",
    scopes: [...scopes],
  });
  return secret;
}
