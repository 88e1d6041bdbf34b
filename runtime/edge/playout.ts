/**
 * The outbound half of a leg: takes records from the out-ring and decides when what leaves for the carrier.
 *
 * ```
 *             playedUntil - lead        now                 playedUntil
 *  ───────────────┬──────────────────────┬───────────────────────┬────────▶ time
 *     played      │       may send from here on                 │ all we sent so far has been played
 *                 └── a full piece is due when it fits below `leadMs` ahead
 * ```
 *
 * P1  The carrier holds at most `leadMs` of our audio, so a cut loses little and is heard soon.
 * P2  Pacing follows a clock of what was sent, in bytes, since the last instant the line was empty. Due
 *     instants are derived from it and never from when the last timer fired: lateness does not add up.
 * P3  Due instants lie on the pump's grid, rounded up, so that many legs share a wake-up and pacing
 *     error is the timer's lateness alone.
 * P4  The first piece after silence leaves at once, with whatever is there. Later ones are whole pieces; a
 *     part waits for more until the carrier has only FLUSH_LEAD_MS left to play, or a mark follows it.
 * P5  Once the epoch has changed, nothing of an older one leaves, and `clear` goes before anything newer.
 * P6  A pause takes effect at the next mark, where a word ends, and at the latest after PAUSE_WITHIN_MS of
 *     audio: half a word before a gap and its other half after it cannot be understood.
 */
import {
  type AudioFormat,
  bytesPerMs,
  type FrameGrid,
  type PlayoutRest,
  RECORD_PAYLOAD_BYTES,
  RecordKind,
} from "#runtime/media";
import type { HotHistogram } from "#runtime/telemetry";

/** What playout reads: the out-ring's consumer, or audio already at hand. */
export interface OutRecords {
  /** The current one; a change means: forget what is queued. */
  readonly epoch: number;
  readonly paused: boolean;
  /** Takes the next record into the fields below; false when there is none. */
  read(): boolean;
  readonly kind: RecordKind;
  readonly recordEpoch: number;
  readonly length: number;
  readonly payload: Uint8Array;
  /** The payload of a mark or cue. */
  u32(): number;
}

/** Where it goes. */
export interface PlayoutSink {
  sendAudio(audio: Buffer, lengthBytes: number): void;
  sendMark(epoch: number, id: number): void;
  /** The carrier is to forget its queue. `epoch` is the new one. */
  sendClear(epoch: number, nowMs: number): void;
  /** The first audio after the cue left at this instant. */
  cueSent(id: number, sentAtMs: number): void;
}

export interface PlayoutOptions {
  /** Audio per message to the carrier. */
  readonly pieceMs: number;
  /** P1. At least a piece and four ticks. */
  readonly leadMs: number;
  /** The pump's: P3. */
  readonly grid: FrameGrid;
}

/** Nothing is waiting for an instant; something rings when there is. */
export const NEVER_MS = Number.POSITIVE_INFINITY;
/** P4. More than timers and the way to the carrier vary, less than a piece. */
const FLUSH_LEAD_MS = 60;
/** P6. Longer than nearly every word; a pause that comes later than this is none. */
const PAUSE_WITHIN_MS = 600;
/**
 * Cues waiting for the audio after them; an actor places one per reply or clause. When more wait, the
 * oldest is forgotten: it could only be reported late.
 */
const CUES_MAX = 16;

export class Playout {
  #records: OutRecords;
  readonly #sink: PlayoutSink;
  readonly #options: PlayoutOptions;
  readonly #pacingErrorMs: HotHistogram;
  readonly #bytesPerMs: number;
  readonly #pieceBytes: number;
  readonly #flushLeadMs: number;
  /** Read from the ring and not yet sent. A record may begin below the piece's end and reach past it. */
  readonly #pending: Buffer;
  #pendingBytes = 0;
  /** A mark that must leave right after `#pending`; -1 when none. */
  #heldMark = -1;
  /** Each cue's id, and where in `#pending` the audio after it begins. */
  readonly #cueIds = new Uint32Array(CUES_MAX);
  readonly #cueOffsets = new Uint32Array(CUES_MAX);
  #cueCount = 0;
  #epoch: number;
  /** P2: the line was last empty at the anchor; this much was sent since. */
  #anchorAtMs = Number.NEGATIVE_INFINITY;
  #bytesSinceAnchor = 0;
  #playedUntilMs = Number.NEGATIVE_INFINITY;
  /** Sent since the last mark: P6. */
  #bytesSinceMark = 0;
  /** The instant pump() last asked to be called at, NaN when it asked for none: pacing error is against it. */
  #waitingForMs = Number.NaN;
  /** What `takeRest` tells of. */
  #sentMark: number | null = null;
  #sentCue: number | null = null;
  #wasCut = false;
  #closed = false;

  constructor(
    records: OutRecords,
    format: AudioFormat,
    firstEpoch: number,
    sink: PlayoutSink,
    pacingErrorMs: HotHistogram,
    options: PlayoutOptions,
  ) {
    this.#records = records;
    this.#sink = sink;
    this.#options = options;
    this.#pacingErrorMs = pacingErrorMs;
    this.#epoch = firstEpoch;
    this.#bytesPerMs = bytesPerMs(format);
    this.#pieceBytes = options.pieceMs * this.#bytesPerMs;
    this.#flushLeadMs = Math.min(FLUSH_LEAD_MS, options.leadMs - options.pieceMs);
    this.#pending = Buffer.alloc(this.#pieceBytes + RECORD_PAYLOAD_BYTES);
  }

  /** The epoch of the last clear; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  /** When the carrier will have played all that was sent, as far as can be known here. */
  get playedUntilMs(): number {
    return this.#playedUntilMs;
  }

  /** Sends what is due and returns the instant to be called again, NEVER_MS when only a new record can help. */
  pump(nowMs: number): number {
    if (this.#closed) return NEVER_MS;
    if (this.#records.epoch !== this.#epoch) this.#clear(nowMs);
    while (!(this.#records.paused && this.#mayPause)) {
      this.#fill(nowMs);
      if (this.#pendingBytes === 0) break;
      const dueAtMs = this.#dueAtMs();
      if (dueAtMs > nowMs) {
        this.#waitingForMs = dueAtMs;
        return dueAtMs;
      }
      // A due instant that was not announced had no audio ready for it: sending now is no lateness of ours.
      if (dueAtMs === this.#waitingForMs) this.#pacingErrorMs.record(nowMs - dueAtMs);
      this.#send(nowMs);
      if (this.#closed) return NEVER_MS;
    }
    this.#waitingForMs = Number.NaN;
    return NEVER_MS;
  }

  /**
   * Empties the ring for another owner of the leg: what is in it and was begun is handed over, what the caller has
   * heard nothing of is dropped. `echoedMark`: the last of the present epoch's marks that came back.
   */
  takeRest(nowMs: number, echoedMark: number | null): PlayoutRest {
    const records = this.#records;
    if (records.epoch !== this.#epoch) this.#clear(nowMs);
    const wasPaused = records.paused;
    const chunks: Buffer[] = [Buffer.from(this.#pending.subarray(0, this.#pendingBytes))];
    const marks: { id: number; atBytes: number }[] = [];
    let bytes = this.#pendingBytes;
    let hasBegun = this.#cueCount === 0;
    if (this.#heldMark >= 0) marks.push({ id: this.#heldMark, atBytes: bytes });
    while (records.read()) {
      if (records.kind === RecordKind.cue) hasBegun = false;
      if (records.kind === RecordKind.mark) marks.push({ id: records.u32(), atBytes: bytes });
      if (records.kind !== RecordKind.audio) continue;
      chunks.push(Buffer.from(records.payload.subarray(0, records.length)));
      bytes += records.length;
    }
    const isOut = this.#bytesSinceMark > 0 || this.#sentMark !== echoedMark || (hasBegun && marks.length > 0);
    const rest: PlayoutRest = {
      audio: new Uint8Array(Buffer.concat(chunks).subarray(0, hasBegun ? (marks.at(-1)?.atBytes ?? 0) : 0)),
      marks: hasBegun ? marks : [],
      cue: this.#sentCue,
      sentMark: this.#sentMark,
      echoedMark,
      isOut,
      wasCut: this.#wasCut,
      wasPaused,
    };
    this.#forget();
    return rest;
  }

  /** Another owner's records from here on. What the carrier has plays on, and the pace is kept. */
  rebind(records: OutRecords): void {
    this.#forget();
    this.#sentCue = null;
    this.#records = records;
    this.#epoch = records.epoch;
  }

  /** Of what was read and not sent. */
  #forget(): void {
    this.#pendingBytes = 0;
    this.#heldMark = -1;
    this.#cueCount = 0;
    this.#bytesSinceMark = 0;
    this.#sentMark = null;
    this.#waitingForMs = Number.NaN;
  }

  /** P6. */
  get #mayPause(): boolean {
    return this.#bytesSinceMark === 0 || this.#bytesSinceMark >= PAUSE_WITHIN_MS * this.#bytesPerMs;
  }

  /** Nothing leaves any more; idempotent, and may be called from within the sink. */
  close(): void {
    this.#closed = true;
  }

  /** Reads on until a piece is full, a mark stands behind audio, or nothing is left. */
  #fill(nowMs: number): void {
    const records = this.#records;
    while (this.#pendingBytes < this.#pieceBytes && this.#heldMark < 0 && !this.#closed && records.read()) {
      // The epoch may have been bumped since pump() looked.
      if (records.recordEpoch !== this.#epoch) {
        this.#clear(nowMs);
        // Bumped twice: this record is of the epoch between.
        if (records.recordEpoch !== this.#epoch) continue;
      }
      switch (records.kind) {
        case RecordKind.audio:
          this.#pending.set(
            records.length === RECORD_PAYLOAD_BYTES
              ? records.payload
              : records.payload.subarray(0, records.length),
            this.#pendingBytes,
          );
          this.#pendingBytes += records.length;
          break;
        case RecordKind.mark:
          if (this.#pendingBytes > 0) {
            this.#heldMark = records.u32();
            break;
          }
          this.#bytesSinceMark = 0;
          this.#sentMark = records.u32();
          this.#sink.sendMark(this.#epoch, this.#sentMark);
          if (records.paused) return;
          break;
        case RecordKind.cue:
          this.#addCue(records.u32());
          break;
        default:
        // The other kinds travel inwards only.
      }
    }
  }

  #dueAtMs(): number {
    const { leadMs, grid } = this.#options;
    const isWhole = this.#pendingBytes >= this.#pieceBytes || this.#heldMark >= 0;
    const leadAtMs = isWhole ? leadMs - this.#pendingBytes / this.#bytesPerMs : this.#flushLeadMs;
    return grid.deadlineFrom(this.#playedUntilMs - leadAtMs);
  }

  #send(nowMs: number): void {
    const lengthBytes = this.#pendingBytes;
    const mark = this.#heldMark;
    if (nowMs > this.#playedUntilMs) {
      this.#anchorAtMs = nowMs;
      this.#bytesSinceAnchor = 0;
    }
    this.#bytesSinceAnchor += lengthBytes;
    this.#playedUntilMs = this.#anchorAtMs + this.#bytesSinceAnchor / this.#bytesPerMs;
    this.#bytesSinceMark = mark >= 0 ? 0 : this.#bytesSinceMark + lengthBytes;
    this.#pendingBytes = 0;
    this.#heldMark = -1;
    this.#wasCut = false;
    this.#sink.sendAudio(this.#pending, lengthBytes);
    if (this.#closed) return;
    this.#reportCues(lengthBytes, nowMs);
    if (mark < 0) return;
    this.#sentMark = mark;
    this.#sink.sendMark(this.#epoch, mark);
  }

  #clear(nowMs: number): void {
    this.#epoch = this.#records.epoch;
    this.#forget();
    this.#wasCut = true;
    this.#playedUntilMs = Number.NEGATIVE_INFINITY;
    this.#sink.sendClear(this.#epoch, nowMs);
  }

  #addCue(id: number): void {
    if (this.#cueCount === CUES_MAX) {
      this.#cueIds.copyWithin(0, 1);
      this.#cueOffsets.copyWithin(0, 1);
      this.#cueCount--;
    }
    this.#cueIds[this.#cueCount] = id;
    this.#cueOffsets[this.#cueCount] = this.#pendingBytes;
    this.#cueCount++;
  }

  #reportCues(sentBytes: number, nowMs: number): void {
    let kept = 0;
    for (let index = 0; index < this.#cueCount; index++) {
      if (this.#cueOffsets[index]! < sentBytes) {
        this.#sentCue = this.#cueIds[index]!;
        this.#sink.cueSent(this.#sentCue, nowMs);
      } else {
        // Its audio is in the next piece, from the start.
        this.#cueIds[kept] = this.#cueIds[index]!;
        this.#cueOffsets[kept] = 0;
        kept++;
      }
    }
    this.#cueCount = kept;
  }
}

/** Audio already at hand as records: all of `audio`, then a mark. */
export class PreparedRecords implements OutRecords {
  readonly epoch: number;
  readonly recordEpoch: number;
  readonly paused = false;
  kind: RecordKind = RecordKind.audio;
  length = 0;
  readonly payload = new Uint8Array(RECORD_PAYLOAD_BYTES);
  readonly #audio: Uint8Array;
  readonly #markId: number;
  #position = 0;
  #markTaken = false;

  constructor(audio: Uint8Array, epoch: number, markId: number) {
    this.#audio = audio;
    this.#markId = markId;
    this.epoch = epoch;
    this.recordEpoch = epoch;
  }

  read(): boolean {
    const rest = this.#audio.length - this.#position;
    if (rest > 0) {
      this.kind = RecordKind.audio;
      this.length = Math.min(rest, RECORD_PAYLOAD_BYTES);
      this.payload.set(this.#audio.subarray(this.#position, this.#position + this.length));
      this.#position += this.length;
      return true;
    }
    if (this.#markTaken) return false;
    this.#markTaken = true;
    this.kind = RecordKind.mark;
    return true;
  }

  u32(): number {
    return this.#markId;
  }
}
