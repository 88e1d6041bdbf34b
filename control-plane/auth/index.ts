/**
 * Who may do what.
 *
 * ```ts
 * const authenticator = new Authenticator(apiKeys, nodeCredentials, rateLimits);
 * const principal = await authenticator.authenticate("Bearer lk_…", "10.0.0.7");
 * requireScope(principal, "tenants.read");
 * store.transaction(scopeOf(principal), actorOf(principal), (tx) => …);
 * ```
 */
export {
  ApiKeys,
  type ApiKeysOptions,
  type GeneratedKey,
  createOperatorKey,
  generateApiKey,
} from "./api-keys.js";
export { Authenticator } from "./authenticator.js";
export { NodeCredentials, type NodeIdentity } from "./node-credentials.js";
export { type Principal, actorOf, requireScope, scopeOf } from "./principal.js";
export { RateLimits, type RateLimitsOptions } from "./rate-limits.js";
export { NODE_SCOPES, OPERATOR_SCOPES, RESELLER_SCOPES, SCOPES, type ScopeName, isScope } from "./scopes.js";
export { ClusterKeys, isSameSecret } from "./secrets.js";
