/**
 * What the edge asks of the node it serves. The edge knows carriers, sockets and rings; who is called,
 * which shard has room and what becomes of a call is the delegate's.
 */
import type { AudioFormat, EdgeSlot, LegEnd } from "#runtime/media";
import type { MetricsSnapshot } from "#runtime/telemetry";

/** A call at the door, as the voice webhook tells it. */
export interface InboundCall {
  /** Name of the carrier: `twilio`, `signalwire`. */
  readonly carrier: string;
  readonly carrierCallId: string;
  readonly accountId: string;
  readonly callStatus: string;
  readonly direction: string;
  readonly pii: { readonly from: string; readonly to: string };
  /** Clock.nowMs() when the webhook had arrived. */
  readonly receivedAtMs: number;
}

/** What a caller gets whom we cannot answer; the tenant's choice. */
export type OverflowPolicy =
  | { readonly kind: "busy" }
  | {
      readonly kind: "message";
      readonly text: string;
      readonly language: string;
      /** The text as audio (Edge.overflowAudio); null: the carrier's own voice says it. */
      readonly audioUrl: string | null;
    }
  | { readonly kind: "forward"; readonly number: string }
  | { readonly kind: "queue"; readonly name: string };

/** A metric label: add rarely, never rename. `internal`: the delegate threw; `slow`: it did not answer in time. */
export type RefusalReason =
  | "noSlot"
  | "draining"
  | "tenantCap"
  | "pressure"
  | "resellerCap"
  | "noCapacity"
  | "suspended"
  | "quarantined"
  | "providerMissing"
  | "alreadyLive"
  | "unknownNumber"
  | "slow"
  | "internal";

export type Admission =
  | {
      readonly kind: "admitted";
      /** Ours, unique for all time; letters, digits, `-` and `_`. */
      readonly callId: string;
      readonly tenantId: string;
      /** Of the lease under which it is here; grows with each resume. */
      readonly epoch: number;
      /** Reset, and this call's until legEnded or mediaExpired. */
      readonly side: EdgeSlot;
      /** Rings the arena's bell: the in-ring was written. Wakes nobody; the shard looks at its bell at each tick. */
      readonly ringShard: () => void;
    }
  | {
      /** Another node has room: the carrier's media socket goes there. Nothing of the call is held here. */
      readonly kind: "admittedElsewhere";
      readonly callId: string;
      readonly epoch: number;
      /** Base of that node's media sockets, ws:// or wss://, without a trailing slash. */
      readonly mediaUrl: string;
    }
  | { readonly kind: "refused"; readonly reason: RefusalReason; readonly overflow: OverflowPolicy };

/** What the carrier does when the media socket has closed and the call lives. */
export type AfterMedia =
  | "hangUp"
  | { readonly kind: "say"; readonly text: string; readonly language: string }
  /** The call goes on over a new media socket. */
  | { readonly kind: "reconnect"; readonly admission: Exclude<Admission, { kind: "refused" }> }
  /** It does so already, here and under this epoch: the same was asked before. */
  | { readonly kind: "resumed"; readonly callId: string; readonly epoch: number };

/** A call that another node has sent here. */
export interface ClaimedCall {
  readonly admitted: Extract<Admission, { kind: "admitted" }>;
  readonly carrierCallId: string;
}

export interface EdgeDelegate {
  /**
   * A call wants in; the delegate logs what comes of it, the edge counts. An admitted call is either opened
   * (mediaOpened), or expires (mediaExpired); nothing else happens to it in between. A promise is waited for
   * no longer than `admissionTimeoutMs`; the caller has got the overflow then, and what is admitted afterwards
   * expires at once. Repeated webhooks of a call whose answer is pending share it.
   */
  admit(call: InboundCall): Admission | Promise<Admission>;
  /** What the caller gets when `admit` was too slow. */
  overflowFor(call: InboundCall): OverflowPolicy;
  /**
   * A media socket with a good token knocks, and its call is not waiting here: another node has sent it. Bounded
   * like `admit`. Null: there is no such call for this node.
   */
  claim(callId: string): Promise<ClaimedCall | null>;
  /** The carrier's `start` arrived; from now on the in-ring is written. */
  mediaOpened(
    callId: string,
    format: AudioFormat,
    openedAtMs: number,
    customParameters: Readonly<Record<string, string>>,
  ): void;
  /**
   * No media socket came before the token ran out, the carrier said the call is over, or an admission came too
   * late to be told to anybody (then also for one `admittedElsewhere`). The slot is free.
   */
  mediaExpired(callId: string): void;
  /**
   * The carrier says that a call is over, whoever ended it; it may be none of ours. One that waits for its media socket
   * expires next (mediaExpired).
   */
  carrierEnded(carrier: string, carrierCallId: string): void;
  /**
   * The leg is gone, and its in-ring holds the legEnded record. The edge will not touch the slot again.
   * `lastHeardAtMs`: Clock.nowMs() of the last sign of life from its socket.
   */
  legEnded(callId: string, end: LegEnd, lastHeardAtMs: number): void;
  /**
   * The carrier asks what to do now that the media socket has closed and the call lives. `callId` is
   * undefined when the reference in the URL is not one of ours; `epoch` is that of the admission whose socket has
   * closed, 0 when the reference does not say. That leg, if it was here, has ended before. A promise is waited for no
   * longer than `afterMediaTimeoutMs`; then the carrier hangs up.
   */
  afterMedia(callId: string | undefined, epoch: number, call: InboundCall): AfterMedia | Promise<AfterMedia>;

  /** The packets there were are in the in-rings: tells the shards that want to be told. Once per turn of a busy loop. */
  wakeShards(): void;
  /** Calls Edge.pump for each slot whose out-ring was written since the last look; at each turn of a busy loop. */
  pumpRung(): void;
}

/** What the admin port shows, and what may be asked for there. */
export interface AdminDelegate {
  /** Whether new calls are welcome, and why not. */
  ready(): { readonly ready: boolean; readonly detail: Readonly<Record<string, unknown>> };
  liveCalls(): readonly unknown[];
  /** Null when there is no such call. */
  journal(callId: string): readonly unknown[] | null;
  /** What the call's caller left as audio, a WAV file; null when there is none here. */
  message(callId: string): Promise<Uint8Array | null>;
  /** The metrics page in Prometheus' text format. */
  metricsText(): Promise<string>;
  /** The same as plain data. */
  metricsSnapshot(): Promise<MetricsSnapshot>;
  /** Begins to move a shard's calls to others; how many there are. Null: there is no such shard to drain. */
  drainShard(shardId: number): { readonly callCount: number } | null;
}
