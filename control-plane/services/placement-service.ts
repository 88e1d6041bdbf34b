/**
 * PlacementService: where a call goes, and who owns it.
 *
 * A resume is a call that placement, its journal, or both know. Its row says whether it is over and which epoch wrote
 * last; without a row (its node died before anything was stored) the directory alone decides. Neither caps nor a
 * suspension stop it: the caller is on the line already.
 */
import { randomUUID } from "node:crypto";
import type {
  CallLease,
  PlaceCallRequest__Output,
  PlaceCallResponse,
  PlacementRefusal,
  PlacementServiceHandlers,
} from "#proto";
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { toDuration, toTimestamp } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type { Directory, Lease } from "../directory/directory.js";
import type { Placement, PlacementRequest, Placer } from "../placement/index.js";
import { type Caller, type ServiceOf, nodeOf } from "../server/index.js";
import type { CallRow, Store } from "../store/store.js";
import type { NodeCommands } from "./node-commands.js";
import { storeWithin } from "./patience.js";
import { Checks, notFound } from "./requests.js";
import type { TenantFactsCache } from "./tenant-facts.js";

/** Carriers' ids have 34 characters; numbers at most 16, and SIP addresses more. */
const NAME_MAX_CHARS = 256;

/** Of the RPC's 2 s: twice this, and the directory's own time, are within them. */
const STORE_PATIENCE_MS = 500;

export interface PlacementServiceDeps {
  readonly store: Store;
  readonly directory: Directory;
  readonly placer: Placer;
  readonly tenants: TenantFactsCache;
  readonly commands: NodeCommands;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leaseTimeMs: number;
}

export function createPlacementService(deps: PlacementServiceDeps): ServiceOf<PlacementServiceHandlers> {
  const { store, directory, placer, tenants, commands, clock, log, leaseTimeMs } = deps;

  async function placeNew(request: PlaceCallRequest__Output): Promise<PlaceCallResponse> {
    const facts = await tenants.get(request.tenantId);
    if (facts === null) throw notFound("tenant");
    if (facts.suspended) return { refusal: "PLACEMENT_REFUSAL_SUSPENDED" };
    const { resellerId, tenantCap, resellerCap } = facts;
    const asked = { ...askedOf(request), callId: randomUUID(), resellerId, tenantCap, resellerCap };
    const placement = await placer.place({ ...asked, resume: false });
    // Placed before, on a node that died before its media came: the carrier tries again, and so do we.
    if (placement.kind !== "placed" || !isStranded(placement)) return answer(placement);
    log.info(
      { callId: placement.lease.callId, nodeId: placement.lease.nodeId },
      "a placed call's node is lost",
    );
    return answer(await placer.place({ ...asked, callId: placement.lease.callId, resume: true }));
  }

  function isStranded({ existing, lease }: Extract<Placement, { kind: "placed" }>): boolean {
    return existing && !lease.live && placer.view.isLost(lease.nodeId);
  }

  async function placeAgain(request: PlaceCallRequest__Output, caller: Caller): Promise<PlaceCallResponse> {
    const { callId } = request;
    const [row, before] =
      callId === "" ? [null, null] : await Promise.all([rowOf(callId, caller), leaseOf(callId)]);
    if (row?.state === "ended") throw ended(callId);
    const asked = {
      ...askedOf(request),
      callId: callId || randomUUID(),
      tenantId: row?.tenantId ?? request.tenantId,
      resellerId: row?.resellerId ?? (await tenants.resellerOf(request.tenantId)) ?? "",
      tenantCap: Number.MAX_SAFE_INTEGER,
      resellerCap: Number.MAX_SAFE_INTEGER,
      knownEpoch: row?.epoch ?? 0,
      resume: true,
      heldByNodeId: before?.nodeId ?? null,
    };
    let placement = await placer.place({ ...asked, afterEpoch: request.resumeAfterEpoch });
    // Resumed before, on a node that is gone by now.
    if (placement.kind === "placed" && placement.existing && placer.view.isLost(placement.lease.nodeId))
      placement = await placer.place(asked);
    if (placement.kind !== "placed" || placement.existing) return answer(placement);
    const { lease } = placement;
    if (row !== null) await fence(row, lease, caller);
    if (before !== null && before.epoch < lease.epoch && before.nodeId !== lease.nodeId)
      await commands.tell(before.nodeId, { kind: "leaseLost", callId: before.callId, epoch: lease.epoch });
    return answer(placement);
  }

  /**
   * The new owner goes on from the journal as it reads it next, so that nothing of another node's may be added to it
   * from here on: it would take the new owner's sequences. A node that takes its own call back has the rest of the
   * journal itself, and still hands it over. Should Postgres be away, ReadJournal does it.
   */
  async function fence(row: CallRow, { callId, epoch, nodeId }: Lease, { actor }: Caller): Promise<void> {
    if (row.nodeId === nodeId) return;
    try {
      const fencing = store.transaction({ kind: "system" }, actor, (tx) => tx.calls.fence(callId, epoch));
      await storeWithin(fencing, STORE_PATIENCE_MS, clock);
    } catch (error) {
      if (!(error instanceof LumentraError) || error.code !== "STORE_UNAVAILABLE") throw error;
      log.warn({ error, callId }, "a call's former owner is not kept from its journal yet");
    }
  }

  /** Null also while Postgres is away or hangs: the directory knows live calls, and a resume cannot wait. */
  async function rowOf(callId: string, { actor }: Caller): Promise<CallRow | null> {
    try {
      const reading = store.transaction({ kind: "system" }, actor, (tx) => tx.calls.get(callId));
      return await storeWithin(reading, STORE_PATIENCE_MS, clock);
    } catch (error) {
      if (!(error instanceof LumentraError) || error.code !== "STORE_UNAVAILABLE") throw error;
      log.warn({ error, callId }, "a call is resumed without a look at its row");
      return null;
    }
  }

  const leaseOf = (callId: string): Promise<Lease | null> => directory.lookUp(callId);

  return {
    async PlaceCall(request, caller) {
      checkPlaceCall(request);
      return request.resume ? placeAgain(request, caller) : placeNew(request);
    },

    async ConfirmCall({ callId, epoch }, caller) {
      const nodeId = nodeOf(caller);
      const lease = await directory.confirm(callId, epoch, nodeId, leaseTimeMs);
      if (lease === "unknown") throw new LumentraError("NOT_FOUND", `call ${callId} has no place any more`);
      if (lease === "lost") throw new LumentraError("CALL_LEASE_LOST", `call ${callId} is another node's`);
      return {
        lease: leaseMessage(lease),
        pii: lease.pii,
        resumed: lease.resumed,
        leaseTime: toDuration(leaseTimeMs),
      };
    },

    async ReleaseCall({ callId, epoch }) {
      return { released: await directory.release(callId, epoch) };
    },

    async LookUpCall({ callId }) {
      const lease = await directory.lookUp(callId);
      if (lease === null) throw new LumentraError("NOT_FOUND", `nobody owns call ${callId}`);
      return { lease: leaseMessage(lease) };
    },
  };
}

function checkPlaceCall(request: PlaceCallRequest__Output): void {
  const checks = new Checks();
  checks.text(request.carrier, "carrier", 1, NAME_MAX_CHARS);
  checks.text(request.carrierCallId, "carrier_call_id", 1, NAME_MAX_CHARS);
  checks.text(request.tenantId, "tenant_id", 1, NAME_MAX_CHARS);
  checks.text(request.pii?.from ?? "", "pii.from", 0, NAME_MAX_CHARS);
  checks.text(request.pii?.to ?? "", "pii.to", 0, NAME_MAX_CHARS);
  checks.text(request.region, "region", 0, NAME_MAX_CHARS);
  checks.text(request.preferredNodeId, "preferred_node_id", 0, NAME_MAX_CHARS);
  checks.text(request.callId, "call_id", 0, NAME_MAX_CHARS);
  checks.done();
}

function askedOf(
  request: PlaceCallRequest__Output,
): Pick<PlacementRequest, "carrier" | "carrierCallId" | "tenantId" | "pii" | "preferredNodeId" | "region"> {
  return {
    carrier: request.carrier,
    carrierCallId: request.carrierCallId,
    tenantId: request.tenantId,
    pii: { from: request.pii?.from ?? "", to: request.pii?.to ?? "" },
    preferredNodeId: request.preferredNodeId || null,
    region: request.region,
  };
}

const REFUSALS: Readonly<Record<string, PlacementRefusal>> = {
  tenantCap: "PLACEMENT_REFUSAL_TENANT_CAP",
  resellerCap: "PLACEMENT_REFUSAL_RESELLER_CAP",
  noCapacity: "PLACEMENT_REFUSAL_NO_CAPACITY",
};

function answer(placement: Placement): PlaceCallResponse {
  if (placement.kind === "ended") throw ended(placement.callId);
  if (placement.kind === "refused") return { refusal: REFUSALS[placement.reason]! };
  const { callId, epoch, nodeId, resumed, expiresAtUnixMs } = placement.lease;
  const { mediaUrl } = placement;
  return { callId, epoch, nodeId, mediaUrl, resumed, expireTime: toTimestamp(expiresAtUnixMs) };
}

function ended(callId: string): LumentraError {
  return new LumentraError("CALL_ENDED", `call ${callId} is over`);
}

function leaseMessage(lease: Lease): CallLease {
  const { callId, epoch, nodeId, tenantId, carrier, carrierCallId, live, expiresAtUnixMs } = lease;
  const expireTime = toTimestamp(expiresAtUnixMs);
  return { callId, epoch, nodeId, tenantId, carrier, carrierCallId, live, expireTime };
}
