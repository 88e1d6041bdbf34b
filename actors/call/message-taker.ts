/**
 * What is left to do when a kind of provider is gone: apologise, have the caller leave a message, keep it, say
 * thanks. All it says is cached; it asks nobody anything.
 *
 *   offering ──heard──> listening ──pause, key or time──> keeping ──on disk──> over, and thanks
 *                        │     ^ │
 *                        └prompt─┘ └─ nobody speaks ─────> over
 *
 * The message is what the recogniser wrote down, while there is one; and audio, which is kept when the recogniser is
 * gone, or has written nothing of what was said.
 *
 * Invariants
 * M1 what the caller said is in the journal before the call's end, however it ends: `close()`.
 *    Where another owner goes on, he listens on: what is kept by then is a part (`more`).
 * M2 nobody waits on a silent line: one prompt, then the end; and at most MESSAGE_MAX_MS.
 */
import type { Clock, TimerHandle } from "#runtime/actor";
import type { VoiceActivity } from "#actors/speech";
import type { JournalWriter } from "./journal-writer.js";
import type { Listener } from "./listener.js";
import { MESSAGE_MAX_MS, type MessageFile } from "./message-files.js";

/** Somebody looking up a number takes this long; more than at the end of a turn, as nobody answers in between. */
export const MESSAGE_PAUSE_MS = 4_000;
/** Until the prompt, and from it until the end. */
export const MESSAGE_SILENCE_MS = 7_000;
/** Shorter sounds are the line's, as long as no word came of them. */
const MESSAGE_SPEECH_MIN_MS = 400;
/**
 * The disk has so long to say that it has all of it; a pause before the thanks that nobody notices. Without its word the
 * journal says so.
 */
export const MESSAGE_KEPT_WITHIN_MS = 500;
const LOOK_KEPT_MS = 20;
/** How often it is looked; only while a message is being left. */
const LOOK_MS = 250;

export interface MessageTakerDeps {
  readonly clock: Clock;
  readonly vad: VoiceActivity;
  readonly listener: Listener;
  readonly journal: JournalWriter;
  /** Null: there is no room for audio. */
  readonly file: MessageFile | null;
  /** A part of it was kept by another owner. */
  readonly hasPart: boolean;
  /** Says the words that ask for the message again. */
  readonly prompt: (after: () => void) => void;
  /** The caller has had his say. */
  readonly onOver: (what: "taken" | "lost" | "nothing") => void;
  readonly count: (kind: "transcript" | "audio" | "nothing") => void;
  readonly guard: (body: () => void) => void;
}

export class MessageTaker {
  readonly #deps: MessageTakerDeps;
  #phase: "offering" | "listening" | "keeping" | "over" = "offering";
  #hasStt: boolean;
  #timer: TimerHandle | null = null;
  readonly #offeredAtMs: number;
  #beganAtMs = 0;
  /** Position in the caller's audio then. */
  #fromMs = 0;
  /** Since the offer or the prompt was heard. */
  #waitsSinceMs = 0;
  #hasPrompted = false;
  #longestSpeechMs = 0;
  /** Of words that were there when the recogniser went. */
  #transcript = "";
  /** How long he had the floor. */
  #durationMs = 0;
  #hadSaid = false;

  constructor(deps: MessageTakerDeps, hasStt: boolean) {
    this.#deps = deps;
    this.#hasStt = hasStt;
    this.#offeredAtMs = deps.clock.nowMs();
  }

  /** The offer was heard. */
  listen(): void {
    if (this.#phase !== "offering") return;
    const { clock, vad, listener } = this.#deps;
    this.#phase = "listening";
    this.#beganAtMs = clock.nowMs();
    this.#waitsSinceMs = this.#beganAtMs;
    this.#fromMs = vad.positionMs;
    if ((vad.lastSpeechAtMs ?? 0) < this.#offeredAtMs) listener.forget(); // nobody spoke: our own echo
    this.#look();
  }

  /** The leg's audio; from `listen()` on it is the message's. */
  write(audio: Uint8Array): void {
    if (this.#phase === "listening") this.#deps.file?.write(audio);
  }

  /** A key, like the one that ends a message everywhere. */
  onKey(): void {
    if (this.#phase === "listening" && this.#hasSpoken) this.#finish();
  }

  sttLost(): void {
    if (!this.#hasStt || this.#phase === "keeping" || this.#phase === "over") return;
    this.#transcript = this.#deps.listener.take();
    this.#hasStt = false;
  }

  /** M1. Idempotent; the call is ending here. `more`: another owner goes on with it. */
  close(more = false): void {
    this.#timer?.cancel();
    if (this.#phase === "over") return;
    this.#gather();
    this.#record(more);
  }

  get #hasSpoken(): boolean {
    if (this.#longestSpeechMs >= MESSAGE_SPEECH_MIN_MS || this.#transcript !== "") return true;
    if (this.#deps.hasPart) return true;
    return this.#deps.listener.wordsAfter(this.#fromMs).length > 0;
  }

  #look(): void {
    if (this.#phase !== "listening") return;
    const { clock, vad, guard } = this.#deps;
    const nowMs = clock.nowMs();
    const { speechStartedAtMs, lastSpeechAtMs } = vad;
    if (speechStartedAtMs !== null && lastSpeechAtMs !== null) {
      const speechMs = lastSpeechAtMs - Math.max(speechStartedAtMs, this.#beganAtMs);
      this.#longestSpeechMs = Math.max(this.#longestSpeechMs, speechMs);
    }
    // By the clock: a leg that sends nothing has fallen silent, too.
    const quietMs = nowMs - Math.max(lastSpeechAtMs ?? 0, this.#waitsSinceMs);
    if (nowMs - this.#beganAtMs >= MESSAGE_MAX_MS) return this.#finish();
    if (this.#hasSpoken && quietMs >= MESSAGE_PAUSE_MS) return this.#finish();
    if (!this.#hasSpoken && quietMs >= MESSAGE_SILENCE_MS) {
      if (this.#hasPrompted) return this.#finish();
      this.#hasPrompted = true;
      this.#waitsSinceMs = Number.POSITIVE_INFINITY; // until it was heard
      this.#deps.prompt(() => {
        this.#waitsSinceMs = clock.nowMs();
      });
    }
    this.#timer = clock.setTimer(LOOK_MS, () => guard(() => this.#look()));
  }

  #finish(): void {
    this.#gather();
    this.#awaitKept(this.#deps.clock.nowMs() + MESSAGE_KEPT_WITHIN_MS);
  }

  #awaitKept(untilMs: number): void {
    const { file, clock, guard, onOver } = this.#deps;
    const isSettled = !this.#needsAudio || file === null || file.isKept || file.hasFailed;
    if (isSettled || clock.nowMs() >= untilMs) return onOver(this.#record(false));
    this.#timer = clock.setTimer(LOOK_KEPT_MS, () => guard(() => this.#awaitKept(untilMs)));
  }

  /** What there is of it; the file is closed, or dropped. Idempotent. */
  #gather(): void {
    if (this.#phase === "keeping") return;
    this.#timer?.cancel();
    const { listener, file, clock } = this.#deps;
    const wasOffering = this.#phase === "offering";
    this.#hadSaid = this.#hasSpoken && !wasOffering;
    this.#phase = "keeping";
    this.#durationMs = wasOffering ? 0 : clock.nowMs() - this.#beganAtMs;
    this.#transcript = [this.#transcript, listener.take()].filter(Boolean).join(" ");
    if (this.#needsAudio) file?.keep();
    else file?.discard();
  }

  get #needsAudio(): boolean {
    const hasSound = this.#longestSpeechMs >= MESSAGE_SPEECH_MIN_MS || this.#transcript !== "";
    return this.#hadSaid && hasSound && (!this.#hasStt || this.#transcript === "");
  }

  #record(more: boolean): "taken" | "lost" | "nothing" {
    const { file, journal, count, hasPart } = this.#deps;
    this.#phase = "over";
    const transcript = this.#transcript;
    const audioFile = this.#needsAudio && file?.hasFailed === false ? file.name : null;
    const audioConfirmed = audioFile !== null && file!.isKept;
    const taken = audioFile !== null || transcript !== "";
    if (taken || !more) count(audioFile !== null ? "audio" : taken ? "transcript" : "nothing");
    if (taken) {
      const durationMs = this.#durationMs;
      journal.record({
        kind: "messageTaken",
        durationMs,
        audioFile,
        audioConfirmed,
        more,
        pii: { transcript },
      });
    }
    if (taken) return "taken";
    if (this.#needsAudio) return "lost";
    return hasPart ? "taken" : "nothing";
  }
}
