/**
 * Puts one turn together from three clocks that are the same clock: the phone's, the emulators' log and the node's
 * journal (CLOCK_MONOTONIC), and says how long the audio or text was with us between the vendors' parts.
 *
 *   phone: last speech sample due   -> STT received it                            toStt
 *   STT: interim or final sent      -> LLM received the request                   sttToLlm
 *   LLM: first token sent           -> TTS received the first text                llmToTts
 *   TTS: first audio sent, or the turn committed, if that was later
 *                                   -> phone played the first sample              ttsToPhone
 *   voice to voice less what the vendors were told to take, and less what phone and
 *   emulators were late by their own timers                                       added
 *
 * The tools' lateness is given beside it: it is not the node's, and a generator that is often late measures itself.
 */
import type {
  LlmRequestEntry,
  LogEntry,
  SttShown,
  SttUtteranceEntry,
  TtsContextEntry,
} from "#bench/emulators";
import { normalizeWords } from "#bench/speech";

export interface TurnInstants {
  /** What the caller said. */
  readonly said: string;
  /** What the agent was to say. */
  readonly expected: string;
  /** The instant the last speech sample was due on the line. */
  readonly speechEndAtMs: number;
  /** After that instant its frame was sent. */
  readonly phoneLateMs: number;
  /** The instant the first sample of the reply was played. */
  readonly replyAtMs: number;
  /** From the journal; null when it does not say. */
  readonly committedAtMs: number | null;
}

export interface TurnDelays {
  readonly toSttMs: number | null;
  readonly sttToLlmMs: number | null;
  readonly llmToTtsMs: number | null;
  readonly ttsToPhoneMs: number | null;
  readonly addedMs: number | null;
  readonly voiceToVoiceMs: number;
  /** What phone and emulators were late together; null when the log does not say. */
  readonly toolsLateMs: number | null;
}

/** The emulators' log by what was said, since each sentence of a run occurs once. */
export class DelayJoiner {
  readonly #stt = new Map<string, SttUtteranceEntry>();
  readonly #llm = new Map<string, LlmRequestEntry[]>();
  readonly #tts = new Map<string, TtsContextEntry>();

  constructor(entries: readonly LogEntry[]) {
    for (const entry of entries) {
      if (entry.kind === "stt") this.#stt.set(key(entry.final?.text ?? entry.interim?.text ?? ""), entry);
      else if (entry.kind === "tts") this.#tts.set(key(entry.text), entry);
      else this.#llm.set(key(entry.prompt), [...(this.#llm.get(key(entry.prompt)) ?? []), entry]);
    }
  }

  delaysOf(turn: TurnInstants): TurnDelays {
    const stt = this.#stt.get(key(turn.said));
    const tts = this.#tts.get(key(turn.expected));
    // The last request that was not thrown away is the one whose reply was heard.
    const llm = this.#llm.get(key(turn.said))?.findLast((entry) => !entry.aborted);
    const trigger = stt === undefined || llm === undefined ? null : triggerOf(stt, llm.receivedAtMs);
    const voiceToVoiceMs = turn.replyAtMs - turn.speechEndAtMs;
    const firstAudioSentAtMs = tts?.firstAudioSentAtMs ?? null;
    const firstTokenSentAtMs = llm?.firstTokenSentAtMs ?? null;
    const toolsLateMs =
      trigger === null || llm === undefined || tts === undefined
        ? null
        : turn.phoneLateMs + (trigger.lateMs ?? 0) + llmLateMs(llm) + ttsLateMs(tts);
    return {
      voiceToVoiceMs,
      toolsLateMs,
      toSttMs: stt === undefined ? null : stt.speechEndReceivedAtMs - turn.speechEndAtMs - turn.phoneLateMs,
      sttToLlmMs: trigger === null || llm === undefined ? null : llm.receivedAtMs - trigger.sentAtMs,
      llmToTtsMs:
        tts === undefined || firstTokenSentAtMs === null ? null : tts.firstTextAtMs - firstTokenSentAtMs,
      ttsToPhoneMs:
        firstAudioSentAtMs === null
          ? null
          : turn.replyAtMs - Math.max(firstAudioSentAtMs, turn.committedAtMs ?? firstAudioSentAtMs),
      addedMs:
        toolsLateMs === null
          ? null
          : voiceToVoiceMs -
            trigger!.plannedDelayMs -
            llm!.plannedFirstTokenMs -
            tts!.plannedMs -
            toolsLateMs,
    };
  }
}

/** First token sent after it was due. */
function llmLateMs(llm: LlmRequestEntry): number {
  if (llm.firstTokenSentAtMs === null) return 0;
  return Math.max(0, llm.firstTokenSentAtMs - llm.receivedAtMs - llm.plannedFirstTokenMs);
}

/** First audio sent after it was due. */
function ttsLateMs(tts: TtsContextEntry): number {
  if (tts.firstAudioSentAtMs === null) return 0;
  return Math.max(0, tts.firstAudioSentAtMs - tts.firstTextAtMs - tts.plannedMs);
}

/** The recogniser's latest word before the model was asked; null when the model was asked before it spoke. */
function triggerOf(stt: SttUtteranceEntry, askedAtMs: number): SttShown | null {
  let latest: SttShown | null = null;
  for (const event of [stt.interim, stt.eager, stt.final]) {
    if (event === null || event.sentAtMs > askedAtMs) continue;
    if (latest === null || event.sentAtMs > latest.sentAtMs) latest = event;
  }
  return latest;
}

/** Case and punctuation differ between what is said, recognised and spoken. */
function key(text: string): string {
  return normalizeWords(text.toLowerCase().replace(/[^\p{L}\p{N}\s]/gu, "")).join(" ");
}
