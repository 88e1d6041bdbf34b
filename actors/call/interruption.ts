/**
 * What the caller says over one reply of ours: it pauses the reply, resumes it when it was for nothing, and says when to
 * cut it. The decision is barge-in.ts's; this gathers what it is made of, and keeps of the words those that are the
 * caller's next turn.
 */
import { type VoiceActivity, isBackchannel } from "#actors/speech";
import { decideBargeIn } from "./barge-in.js";
import type { CallCounters } from "./counters.js";
import type { CallerTurn } from "./caller-turn.js";
import type { EchoWords } from "./echo-words.js";
import type { JournalWriter } from "./journal-writer.js";
import type { Listener } from "./listener.js";
import type { Playout } from "./playout.js";

export interface InterruptionDeps {
  readonly language: string;
  readonly vad: Pick<VoiceActivity, "isSpeech" | "speechStartedAtMs" | "lastSpeechAtMs" | "positionMs">;
  readonly listener: Listener;
  readonly playout: Pick<Playout, "isPaused" | "pause" | "resume">;
  readonly echo: Pick<EchoWords, "whose">;
  readonly callerTurn: Pick<CallerTurn, "number" | "hasNews" | "tellLate">;
  readonly counters: Pick<CallCounters, "bargeInRejected">;
  readonly journal: JournalWriter;
  /** See TurnsDeps. */
  readonly onWordsMissing: () => void;
}

export class Interruption {
  readonly #deps: InterruptionDeps;
  /** What the caller says from here on, in audio, may stop the reply. */
  #fromMs: number;

  constructor(deps: InterruptionDeps, fromMs: number) {
    this.#deps = deps;
    this.#fromMs = fromMs;
  }

  /** Whether the reply is to be cut now. `unansweredMs`: the recogniser has had so much time in the caller's silence. */
  isCut(unansweredMs: number): boolean {
    const { vad, listener, playout, echo, language } = this.#deps;
    if (!vad.isSpeech && !playout.isPaused && !listener.hasWords) return false; // most of the time
    this.#tellLate();
    const speechMs = vad.isSpeech ? (vad.lastSpeechAtMs ?? 0) - (vad.speechStartedAtMs ?? 0) : 0;
    const words = listener.wordsAfter(this.#fromMs);
    const { caller, echoCount, isEcho } = echo.whose(words);
    if (words.length > 0 && isEcho) listener.forgetAfter(this.#fromMs);
    const backchannel = isBackchannel(caller.join(" "), language);
    const decision = decideBargeIn({
      paused: playout.isPaused,
      speechMs,
      silenceMs: unansweredMs,
      wordCount: caller.length,
      isBackchannel: backchannel,
    });
    if (decision === "pause") playout.pause();
    if (decision === "resume") {
      // A cough, or a word of a recogniser that has gone deaf: asked for its final it answers, or is given up.
      if (words.length === 0) this.#deps.onWordsMissing();
      this.#resume(backchannel && caller.length > 0 ? "backchannel" : "tooShort");
    }
    if (decision !== "cut") return false;
    // Our echo is no part of what the caller says; what he said before our reply is.
    const hasEarlier = listener.wordsUntil(this.#fromMs).length > 0;
    if (caller.length > 0 && echoCount > 0 && !hasEarlier) listener.forgetThrough(words[echoCount - 1]!);
    return true;
  }

  /** The pause was for nothing. */
  #resume(reason: "backchannel" | "tooShort"): void {
    const { vad, listener, playout, counters, journal, callerTurn } = this.#deps;
    // A late recogniser's words of before our reply may have come during it: they are the next turn.
    listener.forgetAfter(this.#fromMs);
    this.#fromMs = vad.positionMs;
    playout.resume();
    counters.bargeInRejected(reason);
    journal.record({ kind: "bargeInRejected", turn: callerTurn.number, reason });
  }

  /** His words of before the reply: no turn takes them before its end, and the ring may have forgotten them by then. */
  #tellLate(): void {
    const { listener, echo, callerTurn } = this.#deps;
    // Not while they may change: it is asked with each frame.
    if (listener.fromMs > this.#fromMs || !listener.isFinal || !callerTurn.hasNews) return;
    if (!echo.whose(listener.wordsUntil(this.#fromMs)).isEcho) callerTurn.tellLate(this.#fromMs);
  }
}
