/**
 * One media stream of a simulated call, from `connected` to the close: the carrier's half of Twilio's Media
 * Streams without the socket, so that it runs on virtual time as well.
 *
 *            microphone -> line (jitter, stall, loss) -> transport      (frames every 20 ms)
 *   ear <- playout (queue in samples, marks, clear)   <- transport
 *
 * M1 `connected` and `start` leave back to back, before anything else; `stop` is the last.
 * M2 frame n is due at origin + (n + 1) * 20 ms; a late tick moves nothing and sends what is due, at most
 *    CATCH_UP_FRAMES of it: a phone that got no processor for seconds is no carrier whose line was stalled.
 * M3 sequence numbers count every message from `start` on, also those the line loses.
 * M4 after `stop`, a drop or the other side's close nothing is sent and no timer runs.
 */
import type { Clock, Random, TimerHandle } from "#runtime/actor";
import type { CallIds, CarrierDialect } from "./carrier.js";
import { Ear, type HeardWord } from "./ear.js";
import { FRAME_SAMPLES } from "./encoded-speech.js";
import { type LineImpairments, LineOut } from "./line.js";
import { Microphone, type QueuedUtterance } from "./microphone.js";
import { type Violation, readOutbound } from "./outbound.js";
import { Playout } from "./playout.js";
import type { CallRecording } from "./recording.js";
import { LineTicker } from "./ticker.js";

const FRAME_MS = 20;
/** Sent at one tick: ten times as fast as real time, so that no ring overflows for want of the phone's own processor. */
const CATCH_UP_FRAMES = 10;
/** Between two digits of a `dtmf()`: quick fingers. */
const DTMF_GAP_MS = 200;
/** Digits waiting to be pressed. */
const DIGITS_WAITING_MAX = 256;
/** Violations kept for the report; all are counted. */
const VIOLATIONS_KEPT_MAX = 100;

/** The media socket, as far as a leg needs it. */
export interface LegTransport {
  send(text: string): void;
  /** Close with a WebSocket code. */
  close(code: number): void;
  /** Gone at once, without a close frame. */
  terminate(): void;
}

export interface LegListener {
  onWord(word: HeardWord, understood: boolean): void;
  /** Audio arrived; playout had this many milliseconds left, negative when it had run dry that long ago. */
  onMedia(nowMs: number, sampleCount: number, aheadMs: number): void;
  onCleared(nowMs: number): void;
  onDtmf(digit: string): void;
  onViolation(violation: Violation): void;
  /** After each frame; where waiting conditions are looked at. */
  onFrame(nowMs: number): void;
}

export interface MediaLegOptions {
  readonly dialect: CarrierDialect;
  readonly ids: CallIds;
  readonly transport: LegTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly line: LineImpairments;
  readonly listener: LegListener;
  /** Takes both directions; null keeps nothing. */
  readonly recording: CallRecording | null;
}

export class MediaLeg {
  readonly playout: Playout;
  /** The instant of sample 0 of both directions. */
  readonly originMs: number;
  framesSent = 0;
  messagesReceived = 0;
  marksEchoed = 0;
  violationCount = 0;
  readonly violations: Violation[] = [];
  readonly line: LineOut;
  readonly #options: MediaLegOptions;
  readonly #clock: Clock;
  readonly #ticker: LineTicker;
  readonly #microphone: Microphone;
  readonly #recordScratch: Int16Array | null;
  readonly #digits: string[] = [];
  readonly #tickListener: { onTick(nowMs: number): void; onFineTick?(nowMs: number): void };
  #nextDigitAtMs = 0;
  #sequence = 0;
  #frameIndex = 0;
  #markTimer: TimerHandle | null = null;
  #markTimerAtMs: number | null = null;
  #stallTimer: TimerHandle | null = null;
  #open = true;
  #overfull = false;

  /** Sends `connected` and `start` and begins to pace (M1). */
  constructor(options: MediaLegOptions, customParameters: Readonly<Record<string, string>>) {
    const { clock, dialect, ids, line, random, transport, listener, recording } = options;
    this.#options = options;
    this.#clock = clock;
    this.#ticker = LineTicker.of(clock);
    this.#microphone = new Microphone(line, random);
    this.#recordScratch = recording === null ? null : new Int16Array(FRAME_SAMPLES);
    this.line = new LineOut(line, random, (text) => transport.send(text));
    const impaired = line.jitterMs !== undefined || line.stall !== undefined;
    this.#tickListener = { onTick: (nowMs) => this.#onTick(nowMs) };
    if (impaired) this.#tickListener.onFineTick = (nowMs) => this.line.flush(nowMs);
    this.originMs = this.#ticker.add(this.#tickListener);
    const ear = new Ear(this.originMs, (word, understood) => listener.onWord(word, understood));
    this.playout = new Playout(this.originMs, {
      onAudio: (samples) => {
        ear.hear(samples);
        this.#microphone.hearPlayed(samples);
        recording?.agent.append(samples);
      },
      onSilence: (count) => {
        ear.hearSilence(count);
        this.#microphone.hearSilence(count);
        recording?.agent.appendSilence(count);
      },
      onCut: () => ear.cut(),
    });
    const nowMs = clock.nowMs();
    this.line.push(dialect.connected(), nowMs);
    this.line.push(dialect.start(ids, ++this.#sequence, customParameters), nowMs);
    if (line.stall !== undefined) {
      const { atMs, durationMs } = line.stall;
      this.#stallTimer = clock.setTimer(atMs, () => this.stall(durationMs));
    }
  }

  get open(): boolean {
    return this.#open;
  }

  /** Whether the caller is talking or about to. */
  get speaking(): boolean {
    return this.#microphone.speaking;
  }

  /** False when too many utterances wait already. */
  say(utterance: QueuedUtterance): boolean {
    return this.#microphone.say(utterance);
  }

  /** Presses the keys one after the other; what is beyond the bound is not pressed. */
  dtmf(digits: string): void {
    for (const digit of digits) {
      if (this.#digits.length < DIGITS_WAITING_MAX) this.#digits.push(digit);
    }
  }

  /** Nothing leaves for this long, then everything at once. */
  stall(durationMs: number): void {
    this.line.stall(this.#clock.nowMs(), durationMs);
    // A line that was whole so far has nobody to flush it.
    if (this.#tickListener.onFineTick !== undefined) return;
    this.#stallTimer?.cancel();
    this.#stallTimer = this.#clock.setTimer(durationMs, () => this.line.flush(this.#clock.nowMs()));
  }

  /** A text message from the node. */
  receive(text: string): void {
    if (!this.#open) return;
    this.messagesReceived++;
    const nowMs = this.#clock.nowMs();
    const { dialect, ids, listener } = this.#options;
    const message = readOutbound(text, ids.streamSid, dialect.acceptsDtmf);
    if (typeof message === "string") {
      this.#violate(31951, message, nowMs);
      return;
    }
    switch (message.kind) {
      case "media": {
        const aheadMs = this.playout.tailMs - nowMs;
        this.playout.renderUntil(nowMs);
        if (!this.playout.enqueue(message.audio, nowMs)) {
          if (!this.#overfull) this.#violate(31931, "more than ten minutes queued", nowMs);
          this.#overfull = true; // once per stream, as the carrier reports it
        }
        listener.onMedia(nowMs, message.audio.length, aheadMs);
        break;
      }
      case "mark":
        this.playout.mark(message.name, nowMs);
        this.#echoDueMarks(nowMs);
        break;
      case "clear": {
        const marks = this.playout.clear(nowMs);
        listener.onCleared(nowMs);
        for (const name of marks) this.#echoMark(name, nowMs);
        this.#armMarkTimer(nowMs);
        break;
      }
      case "dtmf":
        listener.onDtmf(message.digit);
        break;
    }
  }

  /** A binary message: carriers cannot decode it (31950). */
  receiveBinary(): void {
    if (this.#open) this.#violate(31950, "binary frame", this.#clock.nowMs());
  }

  /** The caller hangs up: `stop`, then close 1000. Idempotent. */
  hangUp(): void {
    if (!this.#open) return;
    const { dialect, ids, transport } = this.#options;
    this.line.push(dialect.stop(ids, ++this.#sequence), this.#clock.nowMs());
    this.line.flushAll();
    this.#release();
    transport.close(1000);
  }

  /** The carrier vanishes: no `stop`, no close frame. Idempotent. */
  drop(): void {
    if (!this.#open) return;
    this.#release();
    this.#options.transport.terminate();
  }

  /** The other side closed the socket. Idempotent. */
  closed(): void {
    if (!this.#open) return;
    this.playout.renderUntil(this.#clock.nowMs());
    this.#release();
  }

  #release(): void {
    this.#open = false;
    this.#ticker.remove(this.#tickListener);
    this.#markTimer?.cancel();
    this.#stallTimer?.cancel();
  }

  #onTick(nowMs: number): void {
    if (!this.#open) return;
    for (let count = 0; count < CATCH_UP_FRAMES; count++) {
      const dueAtMs = this.originMs + (this.#frameIndex + 1) * FRAME_MS; // M2
      if (dueAtMs > nowMs) break;
      this.playout.renderUntil(dueAtMs);
      this.#sendFrame(nowMs, dueAtMs);
    }
    this.#echoDueMarks(nowMs);
    this.#pressDigit(nowMs);
    this.line.flush(nowMs);
    this.#options.listener.onFrame(nowMs);
  }

  #sendFrame(nowMs: number, dueAtMs: number): void {
    const { dialect, ids, recording } = this.#options;
    // Its own reading where it is looked at: the last of hundreds of phones in a tick sends later than the first.
    const sentAtMs = this.#microphone.speaking ? this.#clock.nowMs() : nowMs;
    const payload = this.#microphone.nextFrame(sentAtMs, dueAtMs, this.#recordScratch);
    if (this.#recordScratch !== null) recording!.caller.append(this.#recordScratch);
    const sequence = ++this.#sequence; // M3
    const chunk = ++this.#frameIndex;
    if (this.line.loses()) return;
    const timestampMs = dialect.firstTimestampMs + (chunk - 1) * FRAME_MS;
    this.framesSent++;
    this.line.pushAudio(dialect.media(ids, sequence, chunk, timestampMs, payload), nowMs);
  }

  #echoDueMarks(nowMs: number): void {
    for (const name of this.playout.takeDueMarks(nowMs)) this.#echoMark(name, nowMs);
    this.#armMarkTimer(nowMs);
  }

  #echoMark(name: string, nowMs: number): void {
    const { markDelayMs } = this.#options.line;
    if (markDelayMs === undefined) this.#sendMark(name, nowMs);
    else if (markDelayMs !== "never") {
      // Looked at before it fires: the leg may be gone by then (M4).
      this.#clock.setTimer(markDelayMs, () => this.#open && this.#sendMark(name, this.#clock.nowMs()));
    }
  }

  #sendMark(name: string, nowMs: number): void {
    const { dialect, ids } = this.#options;
    this.marksEchoed++;
    this.line.push(dialect.mark(ids, ++this.#sequence, name), nowMs);
  }

  /** One timer for the next mark: it goes out at its sample, not at the next frame. */
  #armMarkTimer(nowMs: number): void {
    const dueAtMs = this.playout.nextMarkAtMs;
    if (dueAtMs === this.#markTimerAtMs && (dueAtMs === null || dueAtMs > nowMs)) return;
    this.#markTimer?.cancel();
    this.#markTimerAtMs = dueAtMs;
    this.#markTimer =
      dueAtMs === null
        ? null
        : this.#clock.setTimer(dueAtMs - nowMs, () => this.#echoDueMarks(this.#clock.nowMs()));
  }

  #pressDigit(nowMs: number): void {
    if (this.#digits.length === 0 || nowMs < this.#nextDigitAtMs) return;
    const { dialect, ids } = this.#options;
    this.#nextDigitAtMs = nowMs + DTMF_GAP_MS;
    this.line.push(dialect.dtmf(ids, ++this.#sequence, this.#digits.shift()!), nowMs);
  }

  #violate(code: Violation["code"], detail: string, atMs: number): void {
    const violation = { code, detail, atMs };
    this.violationCount++;
    if (this.violations.length < VIOLATIONS_KEPT_MAX) this.violations.push(violation);
    this.#options.listener.onViolation(violation);
  }
}
