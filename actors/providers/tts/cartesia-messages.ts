/**
 * Cartesia's messages: the three we write, and what we read out of theirs.
 *
 * Within a context all fields but `transcript` and `continue` must stay the same, so they are written once,
 * as an envelope: the JSON up to the transcript.
 */
import type { AudioEncoding } from "#runtime/media";
import { type Failure, reasonOfStatus } from "../failures.js";
import type { ContextMessage } from "./context-dialect.js";
import type { TtsRequest, TtsWord } from "./provider.js";

/** Of 16-bit samples Cartesia sends the low byte first; ours are swapped on arrival if the leg wants that. */
const CARTESIA_ENCODING = {
  mulaw: "pcm_mulaw",
  alaw: "pcm_alaw",
  l16le: "pcm_s16le",
  l16be: "pcm_s16le",
} as const satisfies Record<AudioEncoding, string>;

export function envelopeOf({ model, voice, language, format }: TtsRequest, contextId: string): string {
  const fields = JSON.stringify({
    model_id: model,
    context_id: contextId,
    voice: { mode: "id", id: voice },
    language,
    output_format: {
      container: "raw",
      encoding: CARTESIA_ENCODING[format.encoding],
      sample_rate: format.sampleRateHz,
    },
    add_timestamps: true,
    // Clauses come whole from us; waiting for more text would only add its wait to the caller's.
    max_buffer_delay_ms: 0,
  });
  return `${fields.slice(0, -1)},"transcript":`;
}

/** More text follows. */
export function textMessage(envelope: string, text: string): string {
  return `${envelope}${JSON.stringify(text)},"continue":true}`;
}

/** No more text: what is there is spoken to its end, and then `done` comes. */
export function finishMessage(envelope: string): string {
  return `${envelope}"","continue":false}`;
}

/** Stops what has not begun; what has may still come. */
export function cancelMessage(contextId: string): string {
  return `{"context_id":${JSON.stringify(contextId)},"cancel":true}`;
}

/** Of `word_timestamps`, in milliseconds from the context's start; what is malformed is left out. */
export function wordsOf(value: unknown): readonly TtsWord[] {
  const { words, start, end } = (value ?? {}) as ContextMessage;
  if (!Array.isArray(words) || !Array.isArray(start) || !Array.isArray(end)) return [];
  const spoken: TtsWord[] = [];
  for (const [index, word] of (words as readonly unknown[]).entries()) {
    const wordStartMs = Number(start[index]) * 1_000;
    const wordEndMs = Number(end[index]) * 1_000;
    if (typeof word === "string" && wordStartMs >= 0 && wordEndMs >= 0) {
      spoken.push({ word, startMs: wordStartMs, endMs: wordEndMs });
    }
  }
  return spoken;
}

/** Of an `error` message. Older API versions put the text into `error`. */
export function failureOf(message: ContextMessage): Failure {
  const text = (name: string) => (typeof message[name] === "string" ? message[name] : "");
  const status = typeof message["status_code"] === "number" ? message["status_code"] : 500;
  // 5xx while speaking is not a failure to connect.
  const reason = status >= 500 ? "STREAM_BROKEN" : reasonOfStatus(status);
  return {
    reason,
    what: `gave up a reply (${status})`,
    detail: {
      status,
      providerCode: text("error_code") || text("title"),
      providerMessage: text("message") || text("error") || text("title"),
      requestId: text("request_id"),
    },
  };
}
