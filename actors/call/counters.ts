/**
 * What a call tells the metrics: a few times per turn, never per frame. One per shard, shared by its calls.
 */
import type { ResumeReason } from "#runtime/cluster";
import type { Metrics } from "#runtime/telemetry";
import type { TurnLedger } from "#actors/journal";

export class CallCounters {
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  /** The first byte of a reply left: its ledger is complete, but for a final that comes later. */
  replyStarted(ledger: TurnLedger): void {
    this.#stage("sttFinal", ledger.speechEndAtMs, ledger.sttFinalAtMs);
    this.#stage("llmFirstToken", ledger.llmStartAtMs, ledger.llmFirstTokenAtMs);
    this.#stage("ttsFirstAudio", ledger.llmFirstTokenAtMs, ledger.ttsFirstAudioAtMs);
    this.#stage("firstByteSent", ledger.ttsFirstAudioAtMs, ledger.firstByteSentAtMs);
    this.#stage("voiceToVoice", ledger.speechEndAtMs, ledger.firstByteSentAtMs);
    if (ledger.eagerStartAtMs !== null) this.#metrics.eagerGenerations.inc({ result: "committed" });
  }

  greetingStarted(webhookAtMs: number, atMs: number): void {
    this.#stage("webhookToGreeting", webhookAtMs, atMs);
  }

  /** The first byte that a resumed call sent; since the webhook that brought it back, or since its owner was lost. */
  resumed(reason: ResumeReason, sinceMs: number, atMs: number): void {
    this.#stage(reason === "legLost" ? "webhookToResumed" : "faultToResumed", sinceMs, atMs);
  }

  /** `clearSentAtMs` null: the leg was gone before the carrier could be told. */
  bargeIn(decidedAtMs: number, clearSentAtMs: number | null): void {
    this.#metrics.bargeIns.inc({ result: "cut" });
    this.#stage("bargeInToClear", decidedAtMs, clearSentAtMs);
  }

  bargeInRejected(reason: "backchannel" | "echo" | "tooShort"): void {
    this.#metrics.bargeIns.inc({ result: reason === "tooShort" ? "resumed" : reason });
  }

  eagerDiscarded(textChars: number): void {
    this.#metrics.eagerGenerations.inc({ result: "discarded" });
    // Servers tell the tokens only at the end, which a cancelled request never reaches: four characters each.
    this.#metrics.eagerWasteTokens.inc(Math.ceil(textChars / 4));
  }

  speculationSuppressed(): void {
    this.#metrics.speculationSuppressed.inc();
  }

  replyRestarted(): void {
    this.#metrics.eagerGenerations.inc({ result: "restarted" });
  }

  providerFailed(provider: string, code: string): void {
    this.#metrics.providerErrors.inc({ provider, code });
  }

  messageTaken(kind: "transcript" | "audio" | "nothing"): void {
    this.#metrics.messagesTaken.inc({ kind });
  }

  ended(outcome: string): void {
    this.#metrics.callsEnded.inc({ outcome });
  }

  #stage(stage: string, fromMs: number | null, toMs: number | null): void {
    if (fromMs !== null && toMs !== null)
      this.#metrics.stageLatencyMs.observe({ stage }, Math.max(0, toMs - fromMs));
  }
}
