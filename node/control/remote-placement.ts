/**
 * Placement by the control plane, and by this node alone while none answers.
 *
 * Invariants
 * M1 every call that is here counts in the node's own memory as well, whoever placed it, so that local caps are right
 *    at the moment the control plane goes away.
 * M2 a webhook never waits longer than PLACE_DEADLINE_MS for the control plane; then the node decides.
 * M3 of a call that others own or have placed here, a control plane is asked whether or not the stream is up: the
 *    stream may be on its way, or on its way back, while another answers.
 */
import type { PlaceCallResponse__Output } from "#proto";
import { LumentraError } from "#runtime/errors";
import type { Clock } from "#runtime/actor";
import type { RpcClient } from "#runtime/rpc";
import type { Logger } from "#runtime/telemetry";
import type {
  CallPlacement,
  ClaimedPlace,
  LocalPlacement,
  PlaceRequest,
  Placed,
  PlacementRefusal,
} from "./placement.js";
import { whileUnreachable } from "./while-unreachable.js";

/** Below the edge's own bound, so that there is time left to decide alone. */
const PLACE_DEADLINE_MS = 1_200;
/** A media socket's upgrade waits for it; below the edge's bound as well. */
const CLAIM_DEADLINE_MS = 2_000;

export interface RemotePlacementDeps {
  readonly local: LocalPlacement;
  readonly rpc: RpcClient;
  readonly isUp: () => boolean;
  readonly nodeId: string;
  readonly region: string;
  readonly clock: Clock;
  /** The lease of a call that is here is another's. */
  readonly onLeaseLost: (callId: string, epoch: number) => void;
  /** Placement does not know a call that is here: it is to be told. */
  readonly onUnknown: () => void;
  readonly log: Logger;
}

const REFUSALS: Readonly<Record<string, PlacementRefusal>> = {
  PLACEMENT_REFUSAL_TENANT_CAP: "tenantCap",
  PLACEMENT_REFUSAL_RESELLER_CAP: "resellerCap",
  PLACEMENT_REFUSAL_NO_CAPACITY: "noCapacity",
  PLACEMENT_REFUSAL_SUSPENDED: "suspended",
};

export class RemotePlacement implements CallPlacement {
  readonly #deps: RemotePlacementDeps;

  constructor(deps: RemotePlacementDeps) {
    this.#deps = deps;
  }

  get canPlaceElsewhere(): boolean {
    return this.#deps.isUp();
  }

  place(request: PlaceRequest): Placed | Promise<Placed> {
    const { local, isUp } = this.#deps;
    if (isUp()) return this.#placeRemotely(request);
    const placed = local.place(request);
    return placed.kind === "unknown" ? this.#placeRemotely(request) : placed; // M3
  }

  confirm(callId: string, epoch: number): void {
    const { rpc, isUp, onLeaseLost, onUnknown, log } = this.#deps;
    if (!isUp()) return; // the leases that are told on the next welcome say it
    rpc.call("PlacementService", "ConfirmCall", { callId, epoch }).catch((error: unknown) => {
      const code = error instanceof LumentraError ? error.code : "INTERNAL";
      if (code === "CALL_LEASE_LOST") return onLeaseLost(callId, epoch + 1);
      log.debug({ err: error, callId }, "a call could not be confirmed; the leases are told instead");
      onUnknown();
    });
  }

  async claim(callId: string): Promise<ClaimedPlace | null> {
    const { rpc, local, nodeId, clock, log } = this.#deps;
    try {
      // M3
      const answer = await whileUnreachable(clock, CLAIM_DEADLINE_MS, (deadlineMs) =>
        rpc.call("PlacementService", "ConfirmCall", { callId, epoch: 0 }, { deadlineMs }),
      );
      const { lease, pii, resumed } = answer;
      if (lease === null || lease.nodeId !== nodeId || pii === null) return null;
      local.adopt(callId, lease.epoch, lease);
      const { epoch, tenantId, carrier, carrierCallId } = lease;
      const { from, to } = pii;
      return { callId, epoch, tenantId, carrier, carrierCallId, pii: { from, to }, resumed };
    } catch (error) {
      log.warn({ err: error, callId }, "nobody says whose the call of a media socket is");
      return null;
    }
  }

  release(callId: string, epoch: number): void {
    const { local, rpc, isUp, log } = this.#deps;
    local.release(callId, epoch);
    if (!isUp()) return; // it is not told among the leases any more, and expires
    rpc.call("PlacementService", "ReleaseCall", { callId, epoch }).catch((error: unknown) => {
      log.debug({ err: error, callId }, "a call could not be released; its lease expires");
    });
  }

  async #placeRemotely(request: PlaceRequest): Promise<Placed> {
    const { rpc, local, nodeId, region, clock, log } = this.#deps;
    const { carrier, carrierCallId, tenantId, pii, resume } = request;
    const message = {
      carrier,
      carrierCallId,
      tenantId,
      pii,
      preferredNodeId: nodeId,
      region,
      resume: resume !== null,
      callId: resume?.callId ?? "",
      resumeAfterEpoch: resume?.afterEpoch ?? 0,
    };
    const ask = (deadlineMs: number): Promise<PlaceCallResponse__Output> =>
      rpc.call("PlacementService", "PlaceCall", message, { deadlineMs });
    let answer: PlaceCallResponse__Output;
    try {
      // A call that this node knows, or that is new, it can place itself at once.
      const isOthers = resume !== null && !local.has(resume.callId);
      answer = await (isOthers ? whileUnreachable(clock, PLACE_DEADLINE_MS, ask) : ask(PLACE_DEADLINE_MS));
    } catch (error) {
      const code = error instanceof LumentraError ? error.code : "INTERNAL";
      if (code === "CALL_ENDED") return { kind: "ended" };
      log.warn({ err: error, carrierCallId }, "the control plane places no call now; this node does");
      return local.place(request); // M2
    }
    const refusal = REFUSALS[answer.refusal];
    if (refusal !== undefined) return { kind: "refused", reason: refusal };
    const { callId, epoch, mediaUrl, resumed } = answer;
    if (answer.nodeId !== nodeId) return { kind: "elsewhere", callId, epoch, mediaUrl };
    local.adopt(callId, epoch, request); // M1
    return { kind: "here", callId, epoch, resumed, path: "remote" };
  }
}
