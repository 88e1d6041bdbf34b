/** The one tenant on a stage, and the number that reaches it. */
import { plainTenant } from "#bench/cluster";

export const NUMBER = "+12025550101";
export const TENANT = "chaos";

/** A short greeting: what is measured comes after it. */
export function chaosTenant(changes: object): Record<string, unknown> {
  return { ...plainTenant("Chaos Dental"), greeting: "Hello.", ...changes };
}
