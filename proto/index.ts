/**
 * The contracts: every message and service of lumentra, as types and as gRPC definitions.
 *
 * ```ts
 * const client = new services.TenantService("127.0.0.1:50051", credentials.createInsecure());
 * client.getTenant({ tenantId: "dentist" }, (error, answer) => …);
 * server.addService(services.TenantService.service, handlers satisfies TenantServiceHandlers);
 * ```
 *
 * Messages come in two types: `Tenant` is what may be sent, `Tenant__Output` what arrives (defaults filled in).
 * 64-bit integers are numbers: none of ours exceeds 2^53. Enums are their names, bytes are Buffers.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadPackageDefinition } from "@grpc/grpc-js";
import { type PackageDefinition, loadSync } from "@grpc/proto-loader";
import type { ProtoGrpcType as AuditProto } from "./generated/audit_service.js";
import type { ProtoGrpcType as CallProto } from "./generated/call_service.js";
import type { ProtoGrpcType as JournalProto } from "./generated/journal_service.js";
import type { ProtoGrpcType as NodeProto } from "./generated/node_service.js";
import type { ProtoGrpcType as PhoneNumberProto } from "./generated/phone_number_service.js";
import type { ProtoGrpcType as PlacementProto } from "./generated/placement_service.js";
import type { ProtoGrpcType as ResellerProto } from "./generated/reseller_service.js";
import type { ProtoGrpcType as TenantProto } from "./generated/tenant_service.js";
import type { ProtoGrpcType as UsageProto } from "./generated/usage_service.js";

export type * from "./generated/index.js";
export type { Duration, Duration__Output } from "./generated/google/protobuf/Duration.js";
export type { FieldMask, FieldMask__Output } from "./generated/google/protobuf/FieldMask.js";
export type { Timestamp, Timestamp__Output } from "./generated/google/protobuf/Timestamp.js";

type Proto = AuditProto &
  CallProto &
  JournalProto &
  NodeProto &
  PhoneNumberProto &
  PlacementProto &
  ResellerProto &
  TenantProto &
  UsageProto;

/** Where the .proto files are: beside the compiled code's folder. */
const FOLDER = fileURLToPath(new URL("../../proto/", import.meta.url));

const files = readdirSync(join(FOLDER, "lumentra"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".proto"))
  .map((name) => join("lumentra", name));

/** Everything, for reflection and for what is done to every RPC. */
export const packageDefinition: PackageDefinition = loadSync(
  [...files, "google/rpc/status.proto", "google/rpc/error_details.proto"],
  {
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
    includeDirs: [FOLDER, join(FOLDER, "third_party")],
  },
);

const proto = loadPackageDefinition(packageDefinition) as unknown as Proto;

/** Client constructors by service; each has its definition at `.service`. */
export const services = proto.lumentra.control.v1;

/** What an RPC says of itself; see lumentra/options/v1/options.proto. */
export interface RpcOptions {
  /** Empty when `open`. */
  readonly scope: string;
  readonly open: boolean;
  /** Null for streams. */
  readonly deadlineMs: number | null;
  /** Codes of the error table, besides those every RPC can answer with. */
  readonly errors: readonly string[];
}

const rpcOptionsByPath = new Map<string, RpcOptions>();
for (const service of Object.values(packageDefinition)) {
  if ("format" in service) continue;
  for (const method of Object.values(service)) {
    const said = (method.options as Record<string, unknown> | undefined)?.["(lumentra.options.v1.rpc)"];
    if (said === undefined) continue;
    const rpc = said as { scope?: string; open?: boolean; deadline_ms?: number; errors?: string[] };
    rpcOptionsByPath.set(method.path, {
      scope: rpc.scope ?? "",
      open: rpc.open ?? false,
      deadlineMs: rpc.deadline_ms ? rpc.deadline_ms : null,
      errors: rpc.errors ?? [],
    });
  }
}

/** By full path, such as "/lumentra.control.v1.TenantService/GetTenant". Undefined: not one of ours. */
export function rpcOptions(path: string): RpcOptions | undefined {
  return rpcOptionsByPath.get(path);
}

/** Every RPC of ours with what it says of itself. */
export function allRpcOptions(): ReadonlyMap<string, RpcOptions> {
  return rpcOptionsByPath;
}
