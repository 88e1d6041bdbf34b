/**
 * Drains a leg's in-ring: audio through voice activity into the recogniser's feed, events to whoever waits
 * for them. Per record: no allocation, no closure, no log line.
 */
import { type InRingConsumer, type LegEnd, RecordKind } from "#runtime/media";
import { VadEvent, type VoiceActivity } from "#actors/speech";
import type { AudioInstants } from "./audio-instants.js";
import type { Playout } from "./playout.js";
import type { SttFeed } from "./stt-feed.js";

export interface InboundEvents {
  onSpeechStart(): void;
  onDtmf(digit: string, atMs: number): void;
  /** The last record of the leg. */
  onLegEnded(end: LegEnd): void;
}

export class Inbound {
  readonly #ring: InRingConsumer;
  readonly #vad: VoiceActivity;
  readonly #playout: Playout;
  readonly #feed: SttFeed;
  readonly #events: InboundEvents;
  readonly #instants: AudioInstants;

  constructor(
    ring: InRingConsumer,
    vad: VoiceActivity,
    playout: Playout,
    feed: SttFeed,
    instants: AudioInstants,
    events: InboundEvents,
  ) {
    this.#ring = ring;
    this.#vad = vad;
    this.#playout = playout;
    this.#feed = feed;
    this.#instants = instants;
    this.#events = events;
  }

  /** Takes everything that is there. */
  drain(): void {
    const ring = this.#ring;
    while (ring.read()) {
      switch (ring.kind) {
        case RecordKind.audio:
          this.#onAudio();
          break;
        case RecordKind.dtmf:
          this.#events.onDtmf(String.fromCharCode(ring.payload[0]!), ring.timestampMs);
          break;
        case RecordKind.markEchoed:
          this.#playout.onMarkEchoed(ring.u32(), ring.timestampMs);
          break;
        case RecordKind.cueSent:
          this.#playout.onCueSent(ring.u32(), ring.timestampMs);
          break;
        case RecordKind.cleared:
          this.#playout.onCleared(ring.timestampMs);
          break;
        case RecordKind.legEnded:
          this.#playout.onLegEnded(ring.timestampMs);
          this.#events.onLegEnded(ring.payload[0]! as LegEnd);
          return;
        default:
          break; // a kind of a later version
      }
    }
  }

  #onAudio(): void {
    const ring = this.#ring;
    this.#playout.noteEcho(ring.timestampMs); // before the voice activity, which asks what is echo
    const event = this.#vad.push(ring.payload, 0, ring.length, ring.timestampMs);
    const { isFrameSpeech, isFrameFading, positionMs } = this.#vad;
    this.#instants.note(positionMs, ring.timestampMs);
    this.#feed.push(ring.payload, ring.length, isFrameSpeech, isFrameFading);
    if (event === VadEvent.speechStart) this.#events.onSpeechStart();
  }
}
