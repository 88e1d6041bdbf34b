/** The audit log: read here, written by the database's triggers; `note` is for what is not a row. */
import type { ClientBase } from "pg";
import { pageOf } from "./paging.js";
import type { AuditRow, StoreTransaction } from "./store.js";

interface AuditRecord {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly action: AuditRow["action"];
  readonly resource_kind: string;
  readonly resource_id: string;
  readonly reseller_id: string;
  readonly tenant_id: string;
  readonly changes: unknown;
}

export function auditRepository(client: ClientBase): StoreTransaction["audit"] {
  return {
    async list(filter, page) {
      const values: unknown[] = [];
      const conditions: string[] = [];
      const bind = (value: unknown): string => `$${values.push(value)}`;
      const where = (column: string, value: string | undefined): void => {
        if (value !== undefined) conditions.push(`${column} = ${bind(value)}`);
      };
      where("reseller_id", filter.resellerId);
      where("tenant_id", filter.tenantId);
      where("resource_kind", filter.resourceKind);
      where("resource_id", filter.resourceId);
      if (page.after !== null) conditions.push(`id < ${bind(page.after[0])}::bigint`);
      const { rows } = await client.query<AuditRecord>(
        `SELECT id, at, actor, action, resource_kind, resource_id, reseller_id, tenant_id, changes
         FROM lumentra.audit_log
         ${conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`}
         ORDER BY id DESC LIMIT ${bind(page.size + 1)}`,
        values,
      );
      return pageOf(rows.map(auditRowOf), page.size, (row) => [String(row.id)]);
    },
    async note({ action, resourceKind, resourceId, resellerId, tenantId, changes }) {
      await client.query("SELECT lumentra.note_audit($1, $2, $3, $4, $5, $6::jsonb)", [
        action,
        resourceKind,
        resourceId,
        resellerId ?? "",
        tenantId ?? "",
        JSON.stringify(changes ?? {}),
      ]);
    },
  };
}

function auditRowOf(record: AuditRecord): AuditRow {
  return {
    id: record.id,
    at: record.at,
    actor: record.actor,
    action: record.action,
    resourceKind: record.resource_kind,
    resourceId: record.resource_id,
    resellerId: record.reseller_id,
    tenantId: record.tenant_id,
    changes: record.changes,
  };
}
