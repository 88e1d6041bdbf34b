/**
 * Lets calls in: new ones at the webhook, those another node sent here at their media socket, and those that come
 * back after their leg was lost.
 *
 * Invariants
 * A1 a call that is let in holds a slot and a lease; one that is not holds neither.
 * A2 a call is gone on with from the whole of its journal, or not at all.
 * A3 a lease is resumed once: who asks again what follows the same media gets the same answer.
 * A4 a call that was another node's, and finds no slot here, is ended here: nobody else owns it any more.
 */
import type { Clock } from "#runtime/actor";
import type { ShardPool, SlotLease } from "#runtime/cluster";
import type {
  Admission,
  AfterMedia,
  ClaimedCall,
  InboundCall,
  OverflowPolicy,
  RefusalReason,
} from "#runtime/edge";
import type { Logger, Metrics } from "#runtime/telemetry";
import type { JournalEvent } from "#actors/journal";
import type { TenantConfig, TenantDirectory } from "#actors/tenants";
import type { CallPlacement, Placed } from "./control/placement.js";
import type { JournalStore } from "./journal-store.js";
import type { LiveCall, LiveCalls } from "./live-calls.js";
import type { SuspendedCalls } from "./suspended-calls.js";

const CUT_OFF = {
  en: "We were cut off. Please call again.",
  es: "Se ha cortado la llamada. Llame de nuevo, por favor.",
  fr: "Nous avons été coupés. Veuillez rappeler.",
} as const;

/**
 * How long a call that comes back waits for a slot: a shard that died with its leg is back in two or three seconds, and one
 * that stood still gives back the slot that the call itself had. Carriers wait fifteen for our answer.
 */
const ROOM_WITHIN_MS = 4_000;
const ROOM_LOOK_MS = 50;
/** The same for one that another node sent here, counted from its socket's knock: the edge refuses it after 2.5 s. */
const CLAIM_ROOM_WITHIN_MS = 1_500;

/** The tenants, and what may be wrong with them. */
export interface NodeTenants extends TenantDirectory {
  /** Suspended tenants' callers get the overflow. Absent: none are. */
  isSuspended?(tenantId: string): boolean;
  /** False: nobody has said yet who they are, so that everybody's caller would be turned away. Absent: they are known. */
  readonly isKnown?: boolean;
}

export interface AdmitterDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tenants: NodeTenants;
  readonly placement: CallPlacement;
  readonly journals: JournalStore;
  readonly calls: LiveCalls;
  readonly suspended: SuspendedCalls;
  /** The journal of a call that another node had; null: there is none to be had. Bounded in time; may reject. */
  readonly readJournal: ((callId: string, epoch: number) => Promise<readonly JournalEvent[] | null>) | null;
  /** By carrier: the one account whose calls are ours; undefined for any. */
  readonly accounts: Readonly<Record<string, string | undefined>>;
  readonly pool: () => Pick<ShardPool, "reserve" | "reserveAgain" | "hasRoom" | "hasRoomAgain">;
  /** Whether the node's pressure lets new calls in, where nobody else has looked at it. */
  readonly mayTakeCalls: () => boolean;
  /** Its calls crash what carries them: see Quarantine. */
  readonly isQuarantined: (tenantId: string) => boolean;
  /** Whether this node has the keys and addresses of the providers that the tenant chose. */
  readonly canServe: (tenant: TenantConfig) => boolean;
  /** The tenant's overflow message as audio; null until there is some. */
  readonly overflowAudioUrl: (tenantId: string, text: string) => string | null;
  /** A suspended call that nobody can go on with: it has ended. */
  readonly onLost: (call: LiveCall) => void;
  /** A suspended call that is another's from here on, or has ended: this node has done with it. */
  readonly onGone: (call: LiveCall) => void;
  /** Goes on under a new lease: what its former owner still writes is refused. */
  readonly onResumed: (call: LiveCall) => void;
  /** Was placed here under this epoch, its journal is here, and there is no slot for it: its former owner has let go. */
  readonly onNoRoom: (call: Pick<LiveCall, "callId" | "epoch" | "startedAtUnixMs">) => void;
}

type Here = Extract<Placed, { kind: "here" }>;
type Admitted = Extract<Admission, { kind: "admitted" }>;

export class Admitter {
  readonly #deps: AdmitterDeps;
  #draining = false;

  constructor(deps: AdmitterDeps) {
    this.#deps = deps;
  }

  setDraining(draining: boolean): void {
    this.#draining = draining;
  }

  // ---- new calls

  admit(call: InboundCall): Admission | Promise<Admission> {
    const { tenants, calls, placement } = this.#deps;
    const tenant = this.#tenantOf(call);
    if (tenant === undefined) return this.#refuse("unknownNumber", { kind: "busy" }, call);
    const overflow = this.#overflow(tenant);
    if (this.#draining && !placement.canPlaceElsewhere) return this.#refuse("draining", overflow, call);
    if (tenants.isSuspended?.(tenant.id) === true) return this.#refuse("suspended", overflow, call);
    if (this.#deps.isQuarantined(tenant.id)) return this.#refuse("quarantined", overflow, call);
    if (!this.#deps.canServe(tenant)) return this.#refuse("providerMissing", overflow, call);
    const again = calls.byCarrierId(call.carrierCallId);
    // The carrier repeats a webhook whose answer it did not get: the same call, not another one.
    if (again?.state === "reserved") return admission(again);
    if (again !== undefined) return this.#refuse("alreadyLive", overflow, call);
    const placed = placement.place({ ...placeOf(call, tenant), resume: null });
    if (!(placed instanceof Promise)) return this.#admitPlaced(call, tenant, placed);
    return placed.then((answer) => this.#admitPlaced(call, tenant, answer));
  }

  overflowFor(call: InboundCall): OverflowPolicy {
    const tenant = this.#tenantOf(call);
    return tenant === undefined ? { kind: "busy" } : this.#overflow(tenant);
  }

  #admitPlaced(call: InboundCall, tenant: TenantConfig, placed: Placed): Admission {
    const { metrics, log } = this.#deps;
    const overflow = this.#overflow(tenant);
    if (placed.kind === "refused") {
      metrics.placements.inc({ path: "any", result: placed.reason });
      return this.#refuse(placed.reason, overflow, call);
    }
    if (placed.kind === "ended" || placed.kind === "unknown")
      return this.#refuse("alreadyLive", overflow, call);
    if (placed.kind === "elsewhere") {
      const { callId, epoch, mediaUrl } = placed;
      metrics.placements.inc({ path: "remote", result: "elsewhere" });
      log.info({ callId, carrierCallId: call.carrierCallId, mediaUrl }, "call placed on another node");
      return { kind: "admittedElsewhere", callId, epoch, mediaUrl };
    }
    const isLocal = placed.path === "local";
    if (this.#draining || (isLocal && !this.#deps.mayTakeCalls())) {
      this.#deps.placement.release(placed.callId, placed.epoch);
      return this.#refuse(this.#draining ? "draining" : "pressure", overflow, call);
    }
    metrics.placements.inc({ path: placed.path, result: "here" });
    const live = this.#take(placed, call, tenant.id, null);
    if (live === null) return this.#refuse("noSlot", overflow, call);
    const { callId, epoch, carrierCallId, tenantId, pii } = live;
    log.info({ callId, epoch, carrierCallId, tenantId, pii }, "call admitted");
    return admission(live);
  }

  // ---- calls that another node sent here

  /** Never rejects. */
  async claim(callId: string): Promise<ClaimedCall | null> {
    const { placement, suspended, tenants, calls, log, clock } = this.#deps;
    const isHere = (): boolean => calls.get(callId) !== undefined;
    if (isHere()) return null;
    const untilMs = clock.nowMs() + CLAIM_ROOM_WITHIN_MS;
    const place = await placement.claim(callId);
    if (place === null) return null;
    const { carrierCallId, tenantId } = place;
    const giveBack = (reason: string): null => {
      log.warn({ callId, tenantId, reason }, "a call that was sent here cannot be taken");
      placement.release(callId, place.epoch);
      return null;
    };
    if (tenants.byId(tenantId) === undefined) return giveBack("its tenant is not known here");
    // Whoever placed it here cannot know. One that goes on had begun before.
    if (!place.resumed && this.#deps.isQuarantined(tenantId))
      return giveBack("its tenant is in quarantine here");
    let resumed: LiveCall["resumed"] = null;
    if (place.resumed) await suspended.lastWords(callId); // its leg may have been lost here, and another node was asked what follows
    // Whoever placed it here saw room a moment ago: to refuse its socket would be to cut the caller off.
    await this.#untilRoom(place.resumed, untilMs, isHere);
    if (place.resumed) {
      resumed = await this.#leftOf(callId, place.epoch);
      if (resumed === null) return giveBack("its journal is not to be had");
      if (isOver(resumed)) return giveBack("it is over");
    }
    if (isHere()) return null; // resumed here meanwhile, under the same lease (A3)
    const call = { ...place, receivedAtMs: clock.nowMs() };
    const live = this.#take({ callId, epoch: place.epoch }, call, tenantId, resumed);
    if (live === null) {
      if (resumed !== null) this.#endUnplaced(callId, place.epoch, resumed.journal);
      return giveBack("there is no slot");
    }
    if (resumed !== null) this.#goesOn(live);
    log.info({ callId, epoch: place.epoch, carrierCallId, resumed: place.resumed }, "call claimed");
    return { admitted: admission(live), carrierCallId };
  }

  // ---- calls that come back

  /** The carrier asks what comes next, and the call is not known to be over. Never rejects. */
  async resume(callId: string, afterEpoch: number, call: InboundCall): Promise<AfterMedia> {
    const { suspended, placement, metrics, log } = this.#deps;
    // U2 of SuspendedCalls: what the old owner still had to say must be in the journal.
    await suspended.lastWords(callId);
    const tenant = this.#tenantOf(call);
    const last = this.#deps.journals.ends(callId)?.last;
    if (last?.kind === "callEnded" && last.outcome.kind !== "legLost") return "hangUp";
    if (last?.kind === "callEnded" || tenant === undefined) return cutOff(tenant);
    const placed = await placement.place({ ...placeOf(call, tenant), resume: { callId, afterEpoch } });
    metrics.callResumes.inc({ result: placed.kind });
    switch (placed.kind) {
      case "ended":
        return suspended.get(callId) === null ? "hangUp" : this.#lose(callId, tenant, "its lease is over");
      case "unknown":
        return this.#lose(callId, tenant, "nobody here knows it");
      case "refused":
        return this.#lose(callId, tenant, placed.reason);
      case "elsewhere": {
        // Nobody tells us later: the lease that was lost is of a call we no longer have.
        const own = suspended.take(callId);
        if (own !== null) this.#deps.onGone(own.call);
        const { epoch, mediaUrl } = placed;
        log.info({ callId, epoch, mediaUrl }, "call goes on on another node");
        return { kind: "reconnect", admission: { kind: "admittedElsewhere", callId, epoch, mediaUrl } };
      }
      case "here":
        return this.#resumeHere(callId, call, tenant, placed);
      default:
        return placed satisfies never;
    }
  }

  async #resumeHere(
    callId: string,
    call: InboundCall,
    tenant: TenantConfig,
    placed: Here,
  ): Promise<AfterMedia> {
    const { calls, suspended, placement, log, clock } = this.#deps;
    const { epoch } = placed;
    const isHere = (): boolean => calls.get(callId)?.epoch === epoch; // A3
    await this.#untilRoom(true, clock.nowMs() + ROOM_WITHIN_MS, isHere);
    if (isHere()) return { kind: "resumed", callId, epoch };
    const left = await this.#leftOf(callId, epoch);
    if (isHere()) return { kind: "resumed", callId, epoch };
    if (left === null) {
      placement.release(callId, epoch);
      return this.#lose(callId, tenant, "its journal is not to be had");
    }
    if (isOver(left)) {
      placement.release(callId, epoch);
      const over = suspended.take(callId);
      if (over !== null) this.#deps.onGone(over.call);
      return "hangUp";
    }
    const live = this.#take(placed, call, tenant.id, left);
    if (live === null) {
      this.#endUnplaced(callId, epoch, left.journal);
      placement.release(callId, epoch);
      return this.#lose(callId, tenant, "there is no slot");
    }
    this.#goesOn(live);
    log.info({ callId, epoch, gapMs: left.gapMs, events: left.journal.length }, "call resumes here");
    return { kind: "reconnect", admission: admission(live) };
  }

  /** There is a slot, the call has one, or it was waited for long enough. A node that drains has none for a new call. */
  async #untilRoom(isResumed: boolean, untilMs: number, isHere: () => boolean): Promise<void> {
    const { clock, pool } = this.#deps;
    const isSettled = (): boolean =>
      isHere() || (isResumed ? pool().hasRoomAgain : this.#draining || pool().hasRoom);
    while (!isSettled() && clock.nowMs() < untilMs)
      await new Promise<void>((resolve) => clock.setTimer(ROOM_LOOK_MS, resolve));
  }

  /** What waited for it waits no more, and what its former owner still writes is refused. */
  #goesOn(live: LiveCall): void {
    this.#deps.suspended.take(live.callId);
    this.#deps.onResumed(live);
  }

  /** A4 */
  #endUnplaced(callId: string, epoch: number, journal: readonly JournalEvent[]): void {
    const { calls, suspended, onLost } = this.#deps;
    if (calls.get(callId) !== undefined) return; // it is another lease's, and lives
    const own = suspended.take(callId);
    if (own !== null) return onLost(own.call);
    const startedAtUnixMs = journal[0]?.atUnixMs ?? this.#deps.clock.unixMs();
    this.#deps.onNoRoom({ callId, epoch, startedAtUnixMs });
  }

  /** A2. What it says belongs to the caller who is still on the line. */
  #lose(callId: string, tenant: TenantConfig, reason: string): AfterMedia {
    this.#deps.log.warn({ callId, reason }, "a call whose leg was lost cannot be resumed");
    const lost = this.#deps.suspended.take(callId);
    if (lost !== null) this.#deps.onLost(lost.call);
    return cutOff(tenant);
  }

  /** A2: as it is here, where its leg was lost here; else as its owners wrote it. Null: it is not to be had. */
  async #leftOf(callId: string, epoch: number): Promise<LiveCall["resumed"]> {
    const { suspended, journals, clock } = this.#deps;
    const own = suspended.get(callId);
    const journal = own === null ? await this.#journalOf(callId, epoch) : journals.whole(callId);
    if (journal === null) return null;
    const nowUnixMs = clock.unixMs();
    const gapMs = own === null ? gapSince(journal, nowUnixMs) : Math.max(0, nowUnixMs - own.lostAtUnixMs);
    return { gapMs, journal: [...journal] };
  }

  async #journalOf(callId: string, epoch: number): Promise<readonly JournalEvent[] | null> {
    const { readJournal, calls, journals, log } = this.#deps;
    if (readJournal === null) return null;
    try {
      const journal = await readJournal(callId, epoch);
      if (journal === null || journal.length === 0) return null;
      // Who was asked at the same time may have gone on with it, and it has a journal that grows.
      if (calls.get(callId) === undefined) journals.load(callId, journal);
      return journal;
    } catch (error) {
      log.error({ err: error, callId }, "a journal could not be read");
      return null;
    }
  }

  // ---- what they share

  /** A1: a slot for a call that was placed here, or nothing is held. */
  #take(
    { callId, epoch }: Pick<Here, "callId" | "epoch">,
    call: Pick<InboundCall, "carrier" | "carrierCallId" | "pii" | "receivedAtMs">,
    tenantId: string,
    resumed: LiveCall["resumed"],
  ): LiveCall | null {
    const { calls, clock, placement, pool } = this.#deps;
    const slot = (): SlotLease | null => (resumed === null ? pool().reserve() : pool().reserveAgain(null));
    const lease = calls.get(callId) === undefined ? slot() : null;
    if (lease === null) {
      placement.release(callId, epoch);
      return null;
    }
    const live: LiveCall = {
      callId,
      epoch,
      carrier: call.carrier,
      carrierCallId: call.carrierCallId,
      tenantId,
      tenant: null,
      lease,
      tenure: 0,
      webhookAtMs: call.receivedAtMs,
      startedAtUnixMs: resumed?.journal[0]?.atUnixMs ?? clock.unixMs(),
      pii: call.pii,
      resumed,
      format: null,
      state: "reserved",
      ending: null,
    };
    calls.add(live);
    return live;
  }

  #tenantOf(call: InboundCall): TenantConfig | undefined {
    const { tenants, accounts } = this.#deps;
    const account = accounts[call.carrier];
    return account === undefined || account === call.accountId ? tenants.byNumber(call.pii.to) : undefined;
  }

  #overflow({ id, overflow, language }: TenantConfig): OverflowPolicy {
    if (overflow.kind !== "message") return overflow;
    return { ...overflow, language, audioUrl: this.#deps.overflowAudioUrl(id, overflow.text) };
  }

  #refuse(reason: RefusalReason, overflow: OverflowPolicy, call: InboundCall): Admission {
    this.#deps.log.info({ reason, carrierCallId: call.carrierCallId, pii: call.pii }, "call refused");
    return { kind: "refused", reason, overflow };
  }
}

export function cutOff(tenant: TenantConfig | undefined): AfterMedia {
  const language = tenant?.language ?? "en";
  return { kind: "say", text: CUT_OFF[language], language };
}

function placeOf({ carrier, carrierCallId, pii }: InboundCall, tenant: TenantConfig) {
  const { id: tenantId, limits } = tenant;
  return { carrier, carrierCallId, tenantId, tenantCap: limits.concurrentCalls, pii };
}

function admission({ callId, tenantId, epoch, lease }: LiveCall): Admitted {
  return { kind: "admitted", callId, tenantId, epoch, side: lease.side, ringShard: () => lease.ringShard() };
}

function isOver({ journal }: NonNullable<LiveCall["resumed"]>): boolean {
  return journal.at(-1)?.kind === "callEnded";
}

/** The last owner's clock against ours: good to what NTP makes of the two. */
function gapSince(journal: readonly JournalEvent[], nowUnixMs: number): number {
  return Math.max(0, nowUnixMs - (journal.at(-1)?.atUnixMs ?? nowUnixMs));
}
