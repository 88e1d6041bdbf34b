/** How everyone finds a tenant. Today a file stands behind it, later the control plane. */
import type { TenantConfig } from "./tenant.js";

export interface TenantDirectory {
  /** By dialled number, E.164. */
  byNumber(number: string): TenantConfig | undefined;
  byId(id: string): TenantConfig | undefined;
  /** Every tenant, as it stands now. Replaced as a whole on change, never mutated: calls keep what they began with. */
  readonly tenants: readonly TenantConfig[];
  /** Calls back after each change, with the new list. Returns the function that ends it. */
  onChange(listener: (tenants: readonly TenantConfig[]) => void): () => void;
  close(): void;
}
