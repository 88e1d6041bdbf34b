/** The messages of `/v1/listen`, built. Positions are milliseconds here and seconds on the wire. */
import type { HeardWord } from "./recognizer.js";

export interface V1Envelope {
  readonly requestId: string;
  readonly modelUuid: string;
  readonly model: string;
  readonly language: string;
  readonly punctuate: boolean;
}

export interface V1ResultKind {
  readonly isFinal: boolean;
  readonly speechFinal: boolean;
  readonly fromFinalize: boolean;
}

export function resultsMessage(
  envelope: V1Envelope,
  words: readonly HeardWord[],
  startMs: number,
  endMs: number,
  kind: V1ResultKind,
): object {
  const multi = envelope.language === "multi";
  return {
    type: "Results",
    channel_index: [0, 1],
    duration: seconds(endMs - startMs),
    start: seconds(startMs),
    is_final: kind.isFinal,
    speech_final: kind.speechFinal,
    from_finalize: kind.fromFinalize,
    channel: {
      alternatives: [
        {
          transcript: transcriptOf(words, envelope.punctuate),
          confidence: confidenceOf(words),
          ...(multi ? { languages: words.length > 0 ? ["en"] : [] } : {}),
          words: words.map((word) => ({
            word: bare(word.word),
            start: seconds(word.startMs),
            end: seconds(word.endMs),
            confidence: round(word.confidence),
            ...(envelope.punctuate ? { punctuated_word: word.word } : {}),
            ...(multi ? { language: "en" } : {}),
          })),
        },
      ],
    },
    metadata: {
      request_id: envelope.requestId,
      model_info: { name: `general-${envelope.model}`, version: "2024-12-20.0", arch: envelope.model },
      model_uuid: envelope.modelUuid,
    },
  };
}

/** As spoken, or bare lower-case words. */
export function transcriptOf(words: readonly HeardWord[], punctuate: boolean): string {
  return words.map((word) => (punctuate ? word.word : bare(word.word))).join(" ");
}

function bare(word: string): string {
  return word.toLowerCase().replace(/[.,;:?!"()]+/g, "");
}

function confidenceOf(words: readonly HeardWord[]): number {
  if (words.length === 0) return 0;
  return round(words.reduce((sum, word) => sum + word.confidence, 0) / words.length);
}

export function seconds(ms: number): number {
  return round(ms / 1000);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
