/**
 * Whether the caller's turn is over: what Endpointing is told of him, and asked only when that has changed or its last
 * decision has run out. Most frames change nothing.
 */
import type { Clock } from "#runtime/actor";
import {
  type Endpointing,
  type EndpointingDecision,
  type VoiceActivity,
  expectedDigits,
  speechLanguage,
} from "#actors/speech";
import type { Listener } from "./listener.js";
import type { ListeningTime } from "./listening-time.js";

export interface EndOfTurnDeps {
  readonly clock: Clock;
  readonly language: string;
  readonly vad: Pick<VoiceActivity, "isFrameSpeech" | "silenceMs" | "lastSpeechPositionMs">;
  readonly listener: Listener;
  readonly listening: Pick<ListeningTime, "sinceSpeechMs">;
  readonly endpointing: Pick<Endpointing, "decide">;
}

export class EndOfTurn {
  readonly #deps: EndOfTurnDeps;
  /** What the last decision was made of, and until when it holds. */
  #version = -1;
  #isSpeech = false;
  #untilMs = 0;
  #untilSilenceMs = 0;
  /** The agent's words that were last looked at for a number they ask for, and its digits. */
  #askedText = "";
  #askedDigits: number | null = null;

  constructor(deps: EndOfTurnDeps) {
    this.#deps = deps;
  }

  /**
   * Nothing has changed since the last decision and it holds for now. By the clock and by the audio, which after a stall
   * comes faster than it.
   */
  get isDecided(): boolean {
    const { listener, vad, clock } = this.#deps;
    if (this.#version !== listener.version || this.#isSpeech !== vad.isFrameSpeech) return false;
    return this.#isSpeech || (clock.nowMs() < this.#untilMs && vad.silenceMs < this.#untilSilenceMs);
  }

  /** The last decision holds no longer: somebody else had the floor. */
  forget(): void {
    this.#version = -1;
  }

  /** `agentText`: what he may be answering. */
  decide(agentText: string): EndpointingDecision {
    const { listener, listening, vad, clock, endpointing, language } = this.#deps;
    const nowMs = clock.nowMs();
    const isSpeech = vad.isFrameSpeech;
    const silenceMs = isSpeech ? 0 : vad.silenceMs;
    const decision = endpointing.decide({
      nowMs,
      text: listener.text,
      isFinal: listener.isFinal,
      sttEndOfSpeech: listener.endOfSpeech,
      silenceMs,
      sttTimeMs: listening.sinceSpeechMs,
      transcriptAtMs: listener.changedAtMs,
      transcriptEndMs: listener.throughMs,
      speechEndMs: vad.lastSpeechPositionMs,
      language,
      expectedDigits: this.#digitsAskedFor(agentText),
    });
    if (decision.kind === "commit") return decision;
    this.#version = listener.version;
    this.#isSpeech = isSpeech;
    this.#untilMs = decision.recheckAtMs;
    this.#untilSilenceMs = silenceMs + decision.recheckAtMs - nowMs;
    return decision;
  }

  #digitsAskedFor(agentText: string): number | null {
    if (this.#askedText !== agentText) {
      this.#askedText = agentText;
      this.#askedDigits = expectedDigits(agentText, speechLanguage(this.#deps.language));
    }
    return this.#askedDigits;
  }
}
