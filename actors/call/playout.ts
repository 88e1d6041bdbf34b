/**
 * What the caller hears: feeds one reply at a time into the leg's out-ring, and knows how far it was played.
 *
 *   reply audio  |=========================================|
 *                  heard     at the carrier   in the ring    held here (HeldAudio)
 *                ^          ^                ^             ^
 *                0          PlayoutPosition  (edge)        written … appended
 *
 * Invariants
 * P1 audio enters the ring in order, once, and nothing of a reply after `cut()`.
 * P2 nothing is written past a mark or a cue that found no room: marks bound the position (PP1).
 * P3 `onFinished` fires once per reply, when the last of it was played (or all of it left, and the carrier said nothing
 *    of it for MARK_GRACE_MS); never after a cut, nor while some of it is in the ring.
 * P4 what the caller may be hearing is told to the echo guard (PE1) while it is played, and after a cut until the edge
 *    has told the carrier.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import { type AudioFormat, type OutRingProducer, RecordKind, bytesPerMs } from "#runtime/media";
import type { TtsWord } from "#actors/providers";
import { type EchoGuard, HeardText } from "#actors/speech";
import { HeldAudio } from "./held-audio.js";
import { PlayoutEcho } from "./playout-echo.js";
import { PlayoutPosition } from "./playout-position.js";
import { markNumber } from "./reply-marks.js";
import type { SegmentSink } from "./segment.js";

/**
 * How far ahead of the position the ring is filled: rides out a busy shard, or one that hangs until another has taken its
 * calls over (430 ms, of which the position is behind by what the carrier holds), and bounds what a cut must skip.
 */
const RING_AHEAD_MS = 1_500;
/** The ring is topped up at this pace while there is more to play, and looked at until the last of it has left. */
export const TOP_UP_MS = 200;
/** A carrier that does not echo the last mark this long after its audio must have been played never will. */
export const MARK_GRACE_MS = 2_000;
/** The edge answers a cut within milliseconds; a leg that is gone never does. */
const CLEAR_GRACE_MS = 250;

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

export class Playout implements SegmentSink {
  readonly #deps: PlayoutDeps;
  readonly #bytesPerMs: number;
  readonly #audio = new HeldAudio();
  readonly #position = new PlayoutPosition();
  readonly #echo: PlayoutEcho;
  #events: PlayoutEvents | null = null;
  #heard = new HeardText();
  #nextId = 1;
  #turn = 0;
  #cueId = 0;
  /** The carrier has the first of it, from another owner. */
  #hasQueued = false;
  /** So many words; null when there are none, and when the mark that tells of them is written. */
  #queuedWords: number | null = null;
  #segmentStartBytes = 0;
  #lastMarkMs = 0;
  #complete = false;
  #endMarked = false;
  /** A record that found no room: nothing more is written before it. */
  #owed: "cue" | "mark" | null = null;
  #topUp: TimerHandle | null = null;
  #grace: TimerHandle | null = null;
  #legEndedAtMs = Number.POSITIVE_INFINITY;
  #cut: { readonly settled: CutSettled; readonly timer: TimerHandle } | null = null;

  constructor(deps: PlayoutDeps) {
    this.#deps = deps;
    this.#bytesPerMs = bytesPerMs(deps.format);
    this.#echo = new PlayoutEcho(deps.echoGuard, deps.format);
  }

  get isPlaying(): boolean {
    return this.#events !== null;
  }

  get isPaused(): boolean {
    return this.#position.isPaused;
  }

  /** Memory taken by audio that has not been played. */
  get keptBytes(): number {
    return this.#audio.keptBytes;
  }

  /** A reply was cut, and what was heard of it is not known yet; a matter of milliseconds. */
  get isCutPending(): boolean {
    return this.#cut !== null;
  }

  /** No sound has come of the present (or, in silence, the last) reply. */
  get isMute(): boolean {
    return this.#audio.appendedBytes === 0 && !this.#hasQueued;
  }

  get leftMs(): number {
    return this.#audio.appendedBytes / this.#bytesPerMs - this.positionMs(this.#deps.clock.nowMs());
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
    this.#position.reset(queuedWords !== null);
    this.#events = events;
    this.#turn = turn;
    this.#hasQueued = queuedWords !== null;
    this.#cueId = this.#nextId++;
    this.#queuedWords = queuedWords;
    if (!this.#writeCue(clock.nowMs())) this.#owed = "cue";
  }

  text(piece: string): void {
    this.#heard.addText(piece);
  }

  audio(bytes: Uint8Array): void {
    if (this.#events === null || bytes.length === 0) return;
    this.#audio.push(bytes);
    this.#echo.audio(bytes);
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
    this.#segmentStartBytes = this.#audio.appendedBytes;
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
    if (this.isPaused || this.#events === null) return;
    this.#position.pause();
    this.#deps.ring.setPaused(true);
    this.#deps.wakeEdge();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.#position.resume(this.#deps.clock.nowMs(), this.#writtenMs);
    this.#deps.ring.setPaused(false);
    this.#deps.wakeEdge();
    this.#feed();
  }

  /** Forgets everything not yet played. `settled` fires once, with the words that were heard. */
  cut(settled: CutSettled): void {
    const { ring, clock, guard } = this.#deps;
    // What a pause held back never left, however long ago the mark before it was heard. Before the epoch changes.
    this.#position.cut((this.#audio.writtenBytes - ring.waitingBytes) / this.#bytesPerMs);
    ring.bumpEpoch();
    ring.setPaused(false);
    this.#deps.wakeEdge();
    this.#stopTimers();
    this.#events = null;
    this.#audio.release();
    const timer = clock.setTimer(CLEAR_GRACE_MS, () => guard(() => this.#settleCut(null)));
    this.#cut = { settled, timer };
  }

  /** A mark came back: everything before it was played at `atMs`. */
  onMarkEchoed(id: number, atMs: number): void {
    if (!this.#position.awaits(id)) return;
    // What stands before it may have played since the last look, and is no longer looked at after this.
    this.#noteMaybe(atMs);
    this.#position.confirm(id, atMs);
    if (this.#endMarked && this.#position.isConfirmed) return this.#finish();
    this.#feed();
    this.#events?.onMark();
  }

  onCueSent(id: number, atMs: number): void {
    if (id !== this.#cueId || this.#position.isStarted) return;
    this.#position.start(atMs);
    this.#echo.start(atMs);
    this.#events?.onStarted(atMs);
  }

  onCleared(atMs: number): void {
    this.#settleCut(atMs);
  }

  /** The leg is gone since then: nobody hears any more, however late that is told. */
  onLegEnded(atMs: number): void {
    this.#legEndedAtMs = atMs;
  }

  /** How much of the reply the caller has heard at `atMs`. */
  positionMs(atMs: number): number {
    return this.#position.at(atMs, this.#writtenMs);
  }

  get #writtenMs(): number {
    return this.#audio.writtenBytes / this.#bytesPerMs;
  }

  /** What the marks that came back say was heard. */
  get confirmedText(): string {
    return this.#heard.heardWords(this.#position.confirmedMs);
  }

  heardText(atMs: number): string {
    return this.#heard.heardWords(this.positionMs(atMs));
  }

  /** Tells the echo guard what has been played until `atMs`, and what may have been. */
  noteEcho(atMs: number): void {
    this.#noteMaybe(atMs);
    if (!this.#position.isStarted || this.#events === null) return;
    const playedMs = Math.min(this.#writtenMs, this.positionMs(atMs));
    this.#echo.notePlayed(playedMs, atMs);
    this.#audio.letGo(playedMs * this.#bytesPerMs);
  }

  /** P4 */
  #noteMaybe(atMs: number): void {
    if (this.#events === null && this.#cut === null) return;
    const { confirmedMs } = this.#position;
    if (confirmedMs < 0) this.#echo.noteQueued(atMs);
    this.#echo.noteMaybe(confirmedMs, this.#writtenMs, atMs);
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
    const audio = this.#audio;
    if (!audio.isAllWritten) this.#position.noteDry(nowMs, this.#writtenMs);
    const limit = (this.positionMs(nowMs) + RING_AHEAD_MS) * this.#bytesPerMs;
    let wrote = this.#writeOwed(nowMs);
    while (this.#owed === null && !audio.isAllWritten && audio.writtenBytes < limit) {
      const markMs = this.#heard.nextMarkMs(this.#lastMarkMs);
      const markBytes = markMs === null ? Infinity : Math.round(markMs * this.#bytesPerMs);
      const untilMark = Math.max(1, markBytes - audio.writtenBytes);
      const length = Math.min(audio.nextBytes, untilMark);
      const accepted = audio.writeTo(ring, length, nowMs);
      wrote ||= accepted > 0;
      if (accepted < length) break;
      if (audio.writtenBytes >= markBytes && !this.#writeMark(nowMs)) this.#owed = "mark";
    }
    const isLast = this.#complete && audio.isAllWritten;
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
    if (!this.#deps.ring.tryWriteU32(RecordKind.mark, id, nowMs)) return false;
    this.#nextId += 1;
    this.#lastMarkMs = this.#writtenMs;
    this.#position.addMark(id, this.#lastMarkMs);
    return true;
  }

  /** Words that end with what was written; a byte more, since positions are rounded to whole ones. */
  #wordCount(): number {
    return this.#heard.heardCount((this.#audio.writtenBytes + 1) / this.#bytesPerMs);
  }

  #armTimers(): void {
    const { clock, guard } = this.#deps;
    if (!this.#endMarked) {
      const more = this.#complete || this.#owed !== null || !this.#audio.isAllWritten;
      if (more && this.#topUp === null) {
        this.#topUp = clock.setTimer(TOP_UP_MS, () => {
          this.#topUp = null;
          guard(() => this.#feed());
        });
      }
    } else if (this.#grace === null) {
      // P3. An edge that stands still, or is asked to, sends nothing: the grace begins when the last of it has left.
      const hasLeft = this.#deps.ring.isEmpty;
      const remainingMs = this.#writtenMs - this.positionMs(clock.nowMs());
      this.#grace = clock.setTimer(hasLeft ? remainingMs + MARK_GRACE_MS : TOP_UP_MS, () => {
        this.#grace = null;
        guard(() => (hasLeft && !this.isPaused ? this.#finish() : this.#armTimers()));
      });
    }
  }

  #finish(): void {
    const events = this.#events;
    if (events === null) return;
    this.#stopTimers();
    this.#events = null;
    this.#audio.release();
    // A pause ends with the reply that it held: else the edge would send nothing of the next one either.
    if (this.isPaused) this.#deps.ring.setPaused(false);
    this.#position.finish(this.#writtenMs);
    events.onFinished();
  }

  #settleCut(clearSentAtMs: number | null): void {
    const cut = this.#cut;
    if (cut === null) return;
    this.#cut = null;
    cut.timer.cancel();
    const heardUntilMs = Math.min(clearSentAtMs ?? this.#deps.clock.nowMs(), this.#legEndedAtMs);
    cut.settled(this.heardText(heardUntilMs), clearSentAtMs);
  }

  #stopTimers(): void {
    this.#topUp?.cancel();
    this.#grace?.cancel();
    this.#topUp = null;
    this.#grace = null;
  }

  #reset(): void {
    this.#stopTimers();
    this.#audio.reset();
    this.#echo.reset();
    this.#heard = new HeardText();
    this.#segmentStartBytes = 0;
    this.#lastMarkMs = 0;
    this.#complete = false;
    this.#endMarked = false;
    this.#owed = null;
  }
}
