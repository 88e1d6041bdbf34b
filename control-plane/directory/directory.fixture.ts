/** Nodes, requests and claims for the tests of directories. */
import type { Directory, LeaseClaim, NodeRegistration, ReserveRequest, ReserveResult } from "./directory.js";

export const LEASE_MS = 5_000;
export const RESERVATION_MS = 30_000;

export function registration(nodeId: string, capacityCalls = 10, incarnation = "i1"): NodeRegistration {
  return {
    nodeId,
    incarnation,
    capacityCalls,
    region: "eu",
    version: "1",
    mediaUrl: `wss://${nodeId}.example/media`,
  };
}

export const READY = {
  ready: true,
  stopping: false,
  pressure: { rung: 0, pacingLagMs: 1.5, eventLoopDelayMs: 2, slotUsage: 0.25, providerUsage: 0 },
} as const;

export async function addNode(directory: Directory, nodeId: string, capacityCalls = 10): Promise<void> {
  await directory.registerNode(registration(nodeId, capacityCalls), LEASE_MS);
  await directory.reportNode(nodeId, "i1", READY, LEASE_MS);
}

export function request(callId: string, more: Partial<ReserveRequest> = {}): ReserveRequest {
  return {
    callId,
    carrier: "twilio",
    carrierCallId: `carrier-${callId}`,
    tenantId: "tenant",
    resellerId: "reseller",
    tenantCap: 100,
    resellerCap: 100,
    nodeIds: ["a", "b"],
    pickOf: 2,
    reservationMs: RESERVATION_MS,
    resume: false,
    pii: { from: "+15550001", to: "+15550002" },
    ...more,
  };
}

export function claimOf(callId: string, epoch: number, more: Partial<LeaseClaim> = {}): LeaseClaim {
  return {
    callId,
    epoch,
    tenantId: "tenant",
    resellerId: "reseller",
    carrier: "twilio",
    carrierCallId: `carrier-${callId}`,
    live: true,
    ...more,
  };
}

/** The lease of a grant; throws when it is something else. */
export function granted(result: ReserveResult): Extract<ReserveResult, { kind: "reserved" }>["lease"] {
  if (result.kind !== "reserved") throw new Error(`expected a reservation, got ${JSON.stringify(result)}`);
  return result.lease;
}

export async function callsOn(directory: Directory): Promise<Record<string, number>> {
  return Object.fromEntries((await directory.nodes()).map(({ nodeId, calls }) => [nodeId, calls]));
}
