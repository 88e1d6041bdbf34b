/** Who asks. */
import { LumentraError } from "#runtime/errors";
import type { Actor, Scope } from "../store/store.js";
import { NODE_SCOPES, type ScopeName, isReading } from "./scopes.js";

export type Principal =
  /** An operator's key: sees everything. */
  | { readonly kind: "operator"; readonly keyId: string; readonly scopes: ReadonlySet<ScopeName> }
  /** A reseller's key: sees that reseller. */
  | {
      readonly kind: "reseller";
      readonly keyId: string;
      readonly resellerId: string;
      readonly isSuspended: boolean;
      readonly scopes: ReadonlySet<ScopeName>;
    }
  /** A media node, by credential. `incarnation`: one start of it. */
  | { readonly kind: "node"; readonly nodeId: string; readonly incarnation: string }
  /** Nobody in particular: RPCs that are open. */
  | { readonly kind: "open" };

/** What its transactions may see. */
export function scopeOf(principal: Principal): Scope {
  if (principal.kind === "operator") return { kind: "operator" };
  if (principal.kind === "reseller") return { kind: "reseller", resellerId: principal.resellerId };
  return { kind: "system" };
}

/** For the audit log, the rate limit and request ids. */
export function actorOf(principal: Principal): Actor {
  if (principal.kind === "node") return `node:${principal.nodeId}`;
  if (principal.kind === "open") return "system";
  return `key:${principal.keyId}`;
}

/** @throws LumentraError PERMISSION_DENIED */
export function requireScope(principal: Principal, scope: string): void {
  const held: Iterable<string> =
    principal.kind === "node" ? NODE_SCOPES : principal.kind === "open" ? [] : principal.scopes;
  if (![...held].includes(scope)) {
    throw new LumentraError("PERMISSION_DENIED", `the credential does not hold the scope ${scope}`, {
      detail: { info: { scope } },
    });
  }
  if (principal.kind === "reseller" && principal.isSuspended && !isReading(scope as ScopeName)) {
    throw new LumentraError("PERMISSION_DENIED", "the reseller is suspended: its keys only read", {
      detail: { info: { scope } },
    });
  }
}
