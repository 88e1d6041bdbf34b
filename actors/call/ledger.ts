/** One turn's delays while they happen; `snapshot()` is what the journal keeps. */
import type { TurnLedger } from "#actors/journal";

export class Ledger {
  speechEndAtMs: number | null = null;
  sttInterimAtMs: number | null = null;
  sttFinalAtMs: number | null = null;
  llmStartAtMs: number | null = null;
  eagerStartAtMs: number | null = null;
  llmFirstTokenAtMs: number | null = null;
  ttsFirstAudioAtMs: number | null = null;
  committedAtMs: number | null = null;
  firstByteSentAtMs: number | null = null;

  snapshot(): TurnLedger {
    const { speechEndAtMs, firstByteSentAtMs } = this;
    return {
      speechEndAtMs,
      sttInterimAtMs: this.sttInterimAtMs,
      sttFinalAtMs: this.sttFinalAtMs,
      llmStartAtMs: this.llmStartAtMs,
      eagerStartAtMs: this.eagerStartAtMs,
      llmFirstTokenAtMs: this.llmFirstTokenAtMs,
      ttsFirstAudioAtMs: this.ttsFirstAudioAtMs,
      committedAtMs: this.committedAtMs,
      firstByteSentAtMs,
      voiceToVoiceMs:
        speechEndAtMs === null || firstByteSentAtMs === null ? null : firstByteSentAtMs - speechEndAtMs,
    };
  }
}
