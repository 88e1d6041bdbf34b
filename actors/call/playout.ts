/**
 * What the caller hears: feeds one reply at a time into the leg's out-ring, and knows how far it was played.
 *
 *   reply audio  |=========================================|
 *                  heard     at the carrier   in the ring    held here
 *                ^          ^                ^             ^
 *                0          position         (edge)        written … appended
 *
 * The carrier tells when a mark was played: that is the truth. Between marks the clock says how far it can
 * have come, never past the next mark that has not come back.
 *
 * Invariants
 * P1 audio enters the ring in order, once, and nothing of a reply after `cut()`.
 * P2 position never runs ahead of what was written, nor past a mark that has not come back, nor on from a gap for the
 *    time that it lasted, nor, once it is cut, ahead of what had left; nothing is written past a mark or a cue that found
 *    no room.
 * P3 `onFinished` fires once per reply, when the last of it was played (or all of it left, and the carrier said nothing
 *    of it for MARK_GRACE_MS); never after a cut, nor while some of it is in the ring.
 * P4 whatever the caller may be hearing is known to the echo guard before the frame that may hold its echo
 *    is judged, however late marks, threads and networks are.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { type AudioFormat, FRAME_MS, type OutRingProducer, RecordKind, bytesPerMs } from "#runtime/media";
import type { TtsWord } from "#actors/providers";
import { AudioLevels, type EchoGuard, HeardText } from "#actors/speech";
import { markNumber } from "./reply-marks.js";
import type { SegmentSink } from "./segment.js";

/**
 * How far ahead of the position the ring is filled: rides out a busy shard, or one that hangs until another has taken its
 * calls over (430 ms, of which the position is behind by what the carrier holds), and bounds what a cut must skip.
 */
export const RING_AHEAD_MS = 1_500;
/** The ring is topped up at this pace while there is more to play, and looked at until the last of it has left. */
export const TOP_UP_MS = 200;
/** A carrier that does not echo the last mark this long after its audio must have been played never will. */
export const MARK_GRACE_MS = 2_000;
/** The edge answers a cut within milliseconds; a leg that is gone never does. */
export const CLEAR_GRACE_MS = 250;

/** A position at which not even words that end with the first byte have been heard. */
const BEFORE_FIRST_MS = -1;
/** What the carrier still plays of another owner's is taken to be as loud as this: nobody here has seen it. */
const QUEUED_LEVEL_DB = -15;

export interface PlayoutEvents {
  /** The first byte of the reply left for the carrier. */
  onStarted(atMs: number): void;
  /** A mark came back: more of it was heard. Not for the last one. */
  onMark(): void;
  onFinished(): void;
}

export interface PlayoutDeps {
  readonly clock: Clock;
  readonly ring: OutRingProducer;
  readonly format: AudioFormat;
  readonly echoGuard: EchoGuard;
  readonly wakeEdge: () => void;
  readonly guard: (body: () => void) => void;
}

/** What was heard of a reply that was cut; `clearSentAtMs` null when the leg was gone before the clear. */
export type CutSettled = (heard: string, clearSentAtMs: number | null) => void;

const noAudio = new Uint8Array(0);

interface PendingMark {
  readonly id: number;
  readonly positionMs: number;
}

export class Playout implements SegmentSink {
  readonly #deps: PlayoutDeps;
  readonly #bytesPerMs: number;
  /** Audio of the reply; what was played is let go of, since a long one is more than the rest of the call. */
  readonly #chunks: Uint8Array[] = [];
  readonly #marks: PendingMark[] = [];
  #events: PlayoutEvents | null = null;
  readonly #levels: AudioLevels;
  #heard = new HeardText();
  #nextId = 1;
  #turn = 0;
  #cueId = 0;
  /** The carrier has the first of it, from another owner. */
  #hasQueued = false;
  /** So many words; null when there are none, and when the mark that tells of them is written. */
  #queuedWords: number | null = null;
  #writeAt = { chunk: 0, offset: 0 };
  /** Frames that the echo guard was told of. */
  #notedFrames = 0;
  /** Chunks let go of, and their bytes. */
  #goneCount = 0;
  #goneBytes = 0;
  #appendedBytes = 0;
  #writtenBytes = 0;
  #segmentStartBytes = 0;
  #lastMarkMs = 0;
  #complete = false;
  #endMarked = false;
  /** A record that found no room: nothing more is written before it. */
  #owed: "cue" | "mark" | null = null;
  #anchorMs = 0;
  #anchorAtMs: number | null = null;
  #startedAtMs: number | null = null;
  /** P2: all that was written had been played when more came; from this position on nothing played before this instant. */
  #dryMs = 0;
  #dryAtMs = Number.NEGATIVE_INFINITY;
  /** P2. Of a reply that was cut: what the edge had taken. */
  #leftBytes = Number.POSITIVE_INFINITY;
  #paused = false;
  #topUp: TimerHandle | null = null;
  #grace: TimerHandle | null = null;
  #cut: { readonly settled: CutSettled; readonly timer: TimerHandle } | null = null;

  constructor(deps: PlayoutDeps) {
    this.#deps = deps;
    this.#bytesPerMs = bytesPerMs(deps.format);
    this.#levels = new AudioLevels(deps.format);
  }

  get isPlaying(): boolean {
    return this.#events !== null;
  }

  get isPaused(): boolean {
    return this.#paused;
  }

  /** Memory taken by audio that has not been played. */
  get keptBytes(): number {
    return this.#chunks.reduce((bytes, chunk) => bytes + chunk.length, 0);
  }

  /** A reply was cut, and what was heard of it is not known yet; a matter of milliseconds. */
  get isCutPending(): boolean {
    return this.#cut !== null;
  }

  /** No sound has come of the present (or, in silence, the last) reply. */
  get isMute(): boolean {
    return this.#appendedBytes === 0 && !this.#hasQueued;
  }

  get leftMs(): number {
    return this.#appendedBytes / this.#bytesPerMs - this.positionMs(this.#deps.clock.nowMs());
  }

  /** What another owner said last: its echo may still come. Before anything is said here. */
  takeUp(spoken: string): void {
    this.#heard.addText(spoken);
  }

  /** Words of the present (or, in silence, the last) reply, heard or not: what an echo could repeat. */
  get spokenWords(): readonly string[] {
    return this.#heard.words;
  }

  /**
   * Starts a reply to `turn`. The one before must be finished or cut. `queuedWords`: the carrier is still playing
   * what another owner sent, these words, with which the reply begins: a mark before its first byte tells when they
   * were heard. Null: it plays nothing.
   */
  begin(events: PlayoutEvents, turn: number, queuedWords: number | null = null): void {
    const { clock } = this.#deps;
    this.#settleCut(null);
    this.#reset();
    this.#events = events;
    this.#turn = turn;
    this.#hasQueued = queuedWords !== null;
    this.#cueId = this.#nextId++;
    if (queuedWords !== null) this.#anchorMs = BEFORE_FIRST_MS;
    this.#queuedWords = queuedWords;
    if (!this.#writeCue(clock.nowMs())) this.#owed = "cue";
  }

  text(piece: string): void {
    this.#heard.addText(piece);
  }

  audio(bytes: Uint8Array): void {
    if (this.#events === null || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#appendedBytes += bytes.length;
    this.#levels.push(bytes);
    this.#heard.addAudio(bytes.length / this.#bytesPerMs);
    this.#feed();
  }

  words(words: readonly TtsWord[]): void {
    const offsetMs = this.#segmentStartBytes / this.#bytesPerMs;
    this.#heard.addWords(
      words.map(({ word, startMs, endMs }) => ({
        word,
        startMs: startMs + offsetMs,
        endMs: endMs + offsetMs,
      })),
    );
  }

  segmentEnd(): void {
    this.#heard.addText(" ");
    this.#segmentStartBytes = this.#appendedBytes;
  }

  /** No more audio follows. */
  end(): void {
    if (this.#events === null) return;
    this.#complete = true;
    this.#heard.finishText();
    this.#heard.finishAudio();
    this.#feed();
  }

  /** The edge stops sending; the carrier still plays what it has. */
  pause(): void {
    if (this.#paused || this.#events === null) return;
    this.#paused = true;
    this.#deps.ring.setPaused(true);
    this.#deps.wakeEdge();
  }

  resume(): void {
    if (!this.#paused) return;
    const nowMs = this.#deps.clock.nowMs();
    this.#anchorMs = this.positionMs(nowMs);
    this.#anchorAtMs = nowMs;
    this.#paused = false;
    this.#deps.ring.setPaused(false);
    this.#deps.wakeEdge();
    this.#feed();
  }

  /** Forgets everything not yet played. `settled` fires once, with the words that were heard. */
  cut(settled: CutSettled): void {
    const { ring, clock, guard } = this.#deps;
    // What a pause held back never left, however long ago the mark before it was heard. Before the epoch changes.
    this.#leftBytes = this.#writtenBytes - ring.waitingBytes;
    ring.bumpEpoch();
    ring.setPaused(false);
    this.#deps.wakeEdge();
    this.#stopTimers();
    this.#paused = false;
    this.#events = null;
    this.#chunks.length = 0;
    const timer = clock.setTimer(CLEAR_GRACE_MS, () => guard(() => this.#settleCut(null)));
    this.#cut = { settled, timer };
  }

  /** A mark came back: everything before it was played at `atMs`. */
  onMarkEchoed(id: number, atMs: number): void {
    const index = this.#marks.findIndex((mark) => mark.id === id);
    if (index < 0) return;
    // What stands before it may have played since the last look, and is no longer looked at after this.
    this.#noteMaybe(atMs);
    this.#anchorMs = this.#marks[index]!.positionMs;
    this.#anchorAtMs = atMs;
    this.#marks.splice(0, index + 1);
    if (this.#endMarked && this.#marks.length === 0) return this.#finish();
    this.#feed();
    this.#events?.onMark();
  }

  onCueSent(id: number, atMs: number): void {
    if (id !== this.#cueId || this.#anchorAtMs !== null) return;
    this.#anchorAtMs = atMs;
    this.#startedAtMs = atMs;
    this.#events?.onStarted(atMs);
  }

  onCleared(atMs: number): void {
    this.#settleCut(atMs);
  }

  /** How much of the reply the caller has heard at `atMs`. */
  positionMs(atMs: number): number {
    if (this.#anchorAtMs === null) return this.#anchorMs;
    const byClock = this.#byClockMs(this.#anchorAtMs, atMs);
    // P2; a hair before the mark, as the word that ends there has not been confirmed
    const bound = Math.min(
      Math.min(this.#writtenBytes, this.#leftBytes) / this.#bytesPerMs,
      (this.#marks[0]?.positionMs ?? Infinity) - 0.5,
    );
    return Math.max(this.#anchorMs, Math.min(byClock, bound));
  }

  /** How far it can have come at most, had all of it been written. */
  #byClockMs(anchorAtMs: number, atMs: number): number {
    const sinceMs = this.#paused ? 0 : Math.max(0, atMs - anchorAtMs);
    return Math.min(this.#anchorMs + sinceMs, this.#dryMs + Math.max(0, atMs - this.#dryAtMs));
  }

  /** P2. Before anything is written. */
  #noteDry(nowMs: number): void {
    const anchorAtMs = this.#anchorAtMs;
    const writtenMs = this.#writtenBytes / this.#bytesPerMs;
    if (anchorAtMs === null || this.#writtenBytes === this.#appendedBytes) return;
    if (this.#byClockMs(anchorAtMs, nowMs) < writtenMs) return;
    this.#dryMs = writtenMs;
    this.#dryAtMs = nowMs;
  }

  /** What the marks that came back say was heard. */
  get confirmedText(): string {
    return this.#heard.heardWords(this.#anchorMs);
  }

  heardText(atMs: number): string {
    return this.#heard.heardWords(this.positionMs(atMs));
  }

  /** Tells the echo guard what has been played until `atMs`, and what may have been. */
  noteEcho(atMs: number): void {
    this.#noteMaybe(atMs);
    if (this.#anchorAtMs === null || this.#events === null) return;
    const playedMs = Math.min(this.#writtenBytes / this.#bytesPerMs, this.positionMs(atMs));
    for (; (this.#notedFrames + 1) * FRAME_MS <= playedMs; this.#notedFrames += 1) {
      const frameAtMs = atMs - (playedMs - this.#notedFrames * FRAME_MS);
      this.#deps.echoGuard.noteSentLevel(this.#levels.at(this.#notedFrames), frameAtMs);
    }
    this.#letGo(playedMs * this.#bytesPerMs);
  }

  /** Of whole chunks that were played, and so written; their places stay. */
  #letGo(playedBytes: number): void {
    for (;;) {
      const chunk = this.#chunks[this.#goneCount];
      if (chunk === undefined || this.#goneBytes + chunk.length > playedBytes) return;
      this.#chunks[this.#goneCount] = noAudio;
      this.#goneCount += 1;
      this.#goneBytes += chunk.length;
    }
  }

  /**
   * P4. From the last mark on, as marks are late; to where the clock would be if nothing had ever held our
   * audio up, as nothing plays sooner. After a cut until the edge has told the carrier.
   */
  #noteMaybe(atMs: number): void {
    if (this.#anchorMs < 0) this.#deps.echoGuard.noteMaybe(QUEUED_LEVEL_DB, atMs);
    if (this.#startedAtMs === null || (this.#events === null && this.#cut === null)) return;
    const untilMs = Math.min(atMs - this.#startedAtMs, this.#writtenBytes / this.#bytesPerMs);
    this.#deps.echoGuard.noteMaybe(this.#levels.loudest(Math.max(0, this.#anchorMs), untilMs), atMs);
  }

  /** The call is over: no timer stays behind. A cut that waits is settled with what is known now. */
  close(): void {
    this.#settleCut(null);
    this.#stopTimers();
    this.#events = null;
  }

  #feed(): void {
    const { ring, clock, wakeEdge } = this.#deps;
    if (this.#events === null) return;
    const nowMs = clock.nowMs();
    this.#noteDry(nowMs);
    const limit = (this.positionMs(nowMs) + RING_AHEAD_MS) * this.#bytesPerMs;
    let wrote = this.#writeOwed(nowMs);
    while (this.#owed === null && this.#writtenBytes < this.#appendedBytes && this.#writtenBytes < limit) {
      const chunk = this.#chunks[this.#writeAt.chunk]!;
      const markMs = this.#heard.nextMarkMs(this.#lastMarkMs);
      const markBytes = markMs === null ? Infinity : Math.round(markMs * this.#bytesPerMs);
      const untilMark = Math.max(1, markBytes - this.#writtenBytes);
      const length = Math.min(chunk.length - this.#writeAt.offset, untilMark);
      const accepted = ring.tryWriteAudio(chunk, this.#writeAt.offset, length, nowMs);
      this.#writtenBytes += accepted;
      advance(this.#writeAt, chunk, accepted);
      wrote ||= accepted > 0;
      if (accepted < length) break;
      if (this.#writtenBytes >= markBytes && !this.#writeMark(nowMs)) this.#owed = "mark";
    }
    const isLast = this.#complete && this.#writtenBytes === this.#appendedBytes;
    if (isLast && this.#owed === null && !this.#endMarked) {
      this.#endMarked = this.#writeMark(nowMs);
      wrote ||= this.#endMarked;
    }
    if (wrote) wakeEdge();
    this.#armTimers();
  }

  #writeOwed(nowMs: number): boolean {
    if (this.#owed === null) return false;
    if (!(this.#owed === "cue" ? this.#writeCue(nowMs) : this.#writeMark(nowMs))) return false;
    this.#owed = null;
    return true;
  }

  /** What stands before the first byte: what the carrier plays until then, and the cue. */
  #writeCue(nowMs: number): boolean {
    const queuedWords = this.#queuedWords;
    if (queuedWords !== null && !this.#writeMark(nowMs, queuedWords)) return false;
    this.#queuedWords = null;
    return this.#deps.ring.tryWriteU32(RecordKind.cue, this.#cueId, nowMs);
  }

  /** One that finds the ring full is tried again before anything else is written: P2. */
  #writeMark(nowMs: number, wordCount = this.#wordCount()): boolean {
    const id = markNumber(this.#nextId, this.#turn, wordCount);
    const mark = { id, positionMs: this.#writtenBytes / this.#bytesPerMs };
    if (!this.#deps.ring.tryWriteU32(RecordKind.mark, mark.id, nowMs)) return false;
    this.#nextId += 1;
    this.#lastMarkMs = mark.positionMs;
    this.#marks.push(mark);
    return true;
  }

  /** Words that end with what was written; a byte more, since positions are rounded to whole ones. */
  #wordCount(): number {
    return this.#heard.heardCount((this.#writtenBytes + 1) / this.#bytesPerMs);
  }

  #armTimers(): void {
    const { clock, guard } = this.#deps;
    if (!this.#endMarked) {
      const more = this.#complete || this.#owed !== null || this.#writtenBytes < this.#appendedBytes;
      if (more && this.#topUp === null) {
        this.#topUp = clock.setTimer(TOP_UP_MS, () => {
          this.#topUp = null;
          guard(() => this.#feed());
        });
      }
    } else if (this.#grace === null) {
      // P3. An edge that stands still, or is asked to, sends nothing: the grace begins when the last of it has left.
      const hasLeft = this.#deps.ring.isEmpty;
      const remainingMs = this.#writtenBytes / this.#bytesPerMs - this.positionMs(clock.nowMs());
      this.#grace = clock.setTimer(hasLeft ? remainingMs + MARK_GRACE_MS : TOP_UP_MS, () => {
        this.#grace = null;
        guard(() => (hasLeft && !this.#paused ? this.#finish() : this.#armTimers()));
      });
    }
  }

  #finish(): void {
    const events = this.#events;
    if (events === null) return;
    this.#stopTimers();
    this.#marks.length = 0;
    this.#anchorMs = this.#writtenBytes / this.#bytesPerMs;
    this.#events = null;
    this.#chunks.length = 0;
    // A pause ends with the reply that it held: else the edge would send nothing of the next one either.
    if (this.#paused) this.#deps.ring.setPaused(false);
    this.#paused = false;
    events.onFinished();
  }

  #settleCut(clearSentAtMs: number | null): void {
    const cut = this.#cut;
    if (cut === null) return;
    this.#cut = null;
    cut.timer.cancel();
    cut.settled(this.heardText(clearSentAtMs ?? this.#deps.clock.nowMs()), clearSentAtMs);
  }

  #stopTimers(): void {
    this.#topUp?.cancel();
    this.#grace?.cancel();
    this.#topUp = null;
    this.#grace = null;
  }

  #reset(): void {
    this.#stopTimers();
    this.#chunks.length = 0;
    this.#marks.length = 0;
    this.#heard = new HeardText();
    this.#writeAt = { chunk: 0, offset: 0 };
    this.#notedFrames = 0;
    this.#goneCount = 0;
    this.#goneBytes = 0;
    this.#appendedBytes = 0;
    this.#writtenBytes = 0;
    this.#leftBytes = Number.POSITIVE_INFINITY;
    this.#segmentStartBytes = 0;
    this.#lastMarkMs = 0;
    this.#complete = false;
    this.#endMarked = false;
    this.#owed = null;
    this.#anchorMs = 0;
    this.#anchorAtMs = null;
    this.#startedAtMs = null;
    this.#dryMs = 0;
    this.#dryAtMs = Number.NEGATIVE_INFINITY;
    this.#levels.reset();
    this.#paused = false;
  }
}

function advance(cursor: { chunk: number; offset: number }, chunk: Uint8Array, length: number): void {
  cursor.offset += length;
  if (cursor.offset < chunk.length) return;
  cursor.chunk += 1;
  cursor.offset = 0;
}
