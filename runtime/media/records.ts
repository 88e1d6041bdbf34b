/**
 * What travels in a slot's two rings besides audio: in-band events keep their order with the audio
 * around them. Numbers, not strings: they are stored in one byte.
 *
 * In-ring (edge to shard): audio, dtmf, markEchoed, cueSent, cleared, legEnded.
 * Out-ring (shard to edge): audio, mark, cue.
 */
export const RecordKind = {
  /** Both ways. Payload: up to one record's worth of the leg's audio bytes. */
  audio: 1,
  /** In. Payload: one ASCII digit. */
  dtmf: 2,
  /**
   * Out: ask the carrier to say when everything before this was played. Payload: mark id, u32 LE.
   * In: never.
   */
  mark: 3,
  /** In. The carrier played up to this mark. Payload: mark id, u32 LE. Echoes caused by a clear are not passed on. */
  markEchoed: 4,
  /** Out: tell me the instant the audio after this leaves for the carrier. Payload: cue id, u32 LE. */
  cue: 5,
  /** In. Payload: cue id, u32 LE; the record's timestamp is the instant the first byte was sent. */
  cueSent: 6,
  /** In. The edge sent the carrier's clear. Payload: the epoch it made current, u32 LE; timestamp: instant sent. */
  cleared: 7,
  /** In, last record of a leg. Payload: one byte, a LegEnd. */
  legEnded: 8,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** Why a leg ended, as the edge saw it. */
export const LegEnd = {
  /** The carrier said stop: the caller hung up, or the call was redirected. */
  stopped: 1,
  /** The socket closed without a stop. */
  socketLost: 2,
  /** The edge closed it: the client never read, or broke the protocol. */
  evicted: 3,
  /** We closed it because the actor asked for the hang-up. */
  hungUp: 4,
} as const;
export type LegEnd = (typeof LegEnd)[keyof typeof LegEnd];

/** A record of an in-ring, copied: what one owner of a leg leaves to the next. */
export interface HeldRecord {
  readonly kind: RecordKind;
  readonly timestampMs: number;
  readonly payload: Uint8Array;
}
