/** Rows as messages. */
import type {
  ApiKey,
  AuditEntry,
  PhoneNumber,
  Reseller,
  Tenant,
  TenantVersion,
  UsageRow as UsageMessage,
} from "#proto";
import { tenantSettingsToProto } from "#actors/tenants";
import { toTimestamp } from "#runtime/rpc";
import type {
  ApiKeyRow,
  AuditRow,
  PhoneNumberRow,
  ResellerRow,
  StoredTenantConfig,
  TenantRow,
  UsageRow,
} from "../store/store.js";

export function resellerToProto(row: ResellerRow): Reseller {
  const { id, name, etag, branding, limits, suspended } = row;
  return {
    id,
    name,
    etag,
    branding,
    limits,
    suspended,
    createTime: toTimestamp(row.createdAt),
    updateTime: toTimestamp(row.updatedAt),
  };
}

export function apiKeyToProto(row: ApiKeyRow): ApiKey {
  return {
    id: row.id,
    resellerId: row.resellerId ?? "",
    name: row.name,
    prefix: row.prefix,
    scopes: [...row.scopes],
    createTime: toTimestamp(row.createdAt),
    expireTime: toTimestamp(row.expiresAt),
    lastUseTime: toTimestamp(row.lastUsedAt),
    revokeTime: toTimestamp(row.revokedAt),
  };
}

export function tenantToMessage(row: TenantRow): Tenant {
  const { id, resellerId, etag, version, suspended, resellerSuspended } = row;
  return {
    id,
    resellerId,
    etag,
    version,
    suspended,
    resellerSuspended,
    config: tenantSettingsToProto(row.config),
    numbers: [...row.numbers],
    createTime: toTimestamp(row.createdAt),
    updateTime: toTimestamp(row.updatedAt),
  };
}

export function tenantVersionToProto(row: {
  readonly version: number;
  readonly config: StoredTenantConfig;
  readonly createdAt: Date;
}): TenantVersion {
  return {
    version: row.version,
    config: tenantSettingsToProto(row.config),
    createTime: toTimestamp(row.createdAt),
  };
}

export function phoneNumberToProto(row: PhoneNumberRow): PhoneNumber {
  const { number, tenantId, etag, label } = row;
  return {
    number,
    tenantId,
    etag,
    label,
    createTime: toTimestamp(row.createdAt),
    updateTime: toTimestamp(row.updatedAt),
  };
}

export function usageToProto(row: UsageRow): UsageMessage {
  return { ...row, costMicrosByProvider: { ...row.costMicrosByProvider } };
}

export function auditToProto(row: AuditRow): AuditEntry {
  const { id, actor, action, resourceKind, resourceId, resellerId, tenantId } = row;
  return {
    id,
    time: toTimestamp(row.at),
    actor,
    action,
    resourceKind,
    resourceId,
    resellerId,
    tenantId,
    changesJson: JSON.stringify(row.changes ?? {}),
  };
}
