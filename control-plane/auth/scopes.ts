/** What credentials may do. The protos name the scope of each RPC; a test holds that every one is in this list. */

export const SCOPES = [
  "resellers.read",
  "resellers.write",
  "branding.write",
  "keys.read",
  "keys.write",
  "tenants.read",
  "tenants.write",
  "secrets.write",
  "numbers.read",
  "numbers.write",
  "nodes.read",
  "nodes.operate",
  "calls.read",
  "calls.operate",
  "usage.read",
  "audit.read",
  "node",
] as const;
export type ScopeName = (typeof SCOPES)[number];

/** Nodes' own, by credential; never by key. */
export const NODE_SCOPES: readonly ScopeName[] = ["node", "tenants.read"];
/** All that a key of an operator may hold. */
export const OPERATOR_SCOPES: readonly ScopeName[] = SCOPES.filter((scope) => scope !== "node");
/** All that a key of a reseller may hold: what is beyond one reseller is not among them. */
export const RESELLER_SCOPES: readonly ScopeName[] = OPERATOR_SCOPES.filter(
  (scope) => !["resellers.write", "nodes.read", "nodes.operate"].includes(scope),
);

export function isScope(text: string): text is ScopeName {
  return (SCOPES as readonly string[]).includes(text);
}

/** What is left to a reseller that is suspended. */
export function isReading(scope: ScopeName): boolean {
  return scope.endsWith(".read");
}
