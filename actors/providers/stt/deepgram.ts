/**
 * Deepgram's v1 streaming API (`/v1/listen`): models nova-3 and older.
 *
 * Interims of one time range replace one another; `is_final` closes the range; `speech_final` says that the
 * caller paused. When noise hides the pause, `UtteranceEnd` says it instead, once per stretch of finals.
 */
import type { DeepgramClient } from "@deepgram/sdk";
import type { AudioEncoding } from "#runtime/media";
import type { DeepgramSettings } from "../settings.js";
import { type DeepgramDialect, type DeepgramQuery, msOf, wordsOf } from "./deepgram-dialect.js";
import { type SttReader, type SessionRequest, type TranscriptSink, textOf } from "./stt-dialect.js";

/** The SDK knows the API: its types hold our requests to it. */
type ConnectArgs = Parameters<DeepgramClient["listen"]["v1"]["connect"]>[0];
type Message = Readonly<Record<string, unknown>>;

/** Byte order is settled before audio gets here: Deepgram takes little-endian. */
export const DEEPGRAM_ENCODING = {
  mulaw: "mulaw",
  alaw: "alaw",
  l16le: "linear16",
  l16be: "linear16",
} as const satisfies Record<AudioEncoding, string>;

export const deepgramV1: DeepgramDialect = {
  name: "deepgram",
  // KeepAlive does it, once some audio was there.
  leadInRepeats: false,
  // A message costs some 15 us whatever its size; 100 ms is the longest that delays no decision of ours.
  idleBatchMs: 100,
  // Of a line where nobody speaks, less than half the messages: each is a write to a socket, the dearest thing that happens
  // on such a line. Whole looks at a call in a lull (80 ms), and within the 250 that Deepgram advises. Speech does not wait,
  // it takes along what waits; a word too faint for our voice activity does, 70 ms longer on average.
  quietBatchMs: 240,
  // At 40 the last frame of an utterance waited for the silent one after it, every other time: 20 ms of
  // silence on the line, for 25 messages a second saved while the caller speaks.
  speechBatchMs: 20,
  // Where the thread is short of time: a third of the messages less. A frame that fades takes along what waits, or the
  // last of an utterance would wait for the silent one after it: 20 ms at the median, as was measured without.
  crowdedBatchMs: 40,
  messageMinMs: 0,
  // What waited for its socket comes at once, and is worked through a little faster than it is spoken.
  aheadMaxMs: Number.POSITIVE_INFINITY,

  path: "/v1/listen",
  query: queryOf,
  controls: () => ({ keepAlive: '{"type":"KeepAlive"}', finalize: '{"type":"Finalize"}' }),
  createReader: () => new V1Reader(),
};

function queryOf(request: SessionRequest, settings: DeepgramSettings): DeepgramQuery {
  const keyterms = [...request.keyterms];
  return {
    model: request.model,
    language: request.language,
    encoding: DEEPGRAM_ENCODING[request.format.encoding],
    sample_rate: request.format.sampleRateHz,
    channels: 1,
    interim_results: "true",
    // Punctuation helps clause and turn decisions; smart formatting may hold finals back, so it stays off.
    punctuate: "true",
    vad_events: "true",
    endpointing: settings.endpointingMs,
    utterance_end_ms: settings.utteranceEndMs,
    // Only nova-3 knows keyterms; older models have weighted keywords.
    ...(keyterms.length === 0
      ? {}
      : request.model.startsWith("nova-3")
        ? { keyterm: keyterms }
        : { keywords: keyterms }),
    // A socket opened ahead has no call yet, so it is not named; its requests are matched by time.
    ...(request.callId === null ? {} : { extra: `call_id:${request.callId}` }),
  } satisfies Partial<ConnectArgs>;
}

class V1Reader implements SttReader {
  /** Finals came since the caller was last reported to pause: an UtteranceEnd is news. */
  #pauseUnreported = false;

  read(message: Message, sink: TranscriptSink): void {
    switch (message["type"]) {
      case "Results":
        this.#readResults(message, sink);
        return;
      case "SpeechStarted": {
        const atMs = msOf(message["timestamp"]);
        if (atMs >= 0) sink.speechStarted(atMs);
        return;
      }
      case "UtteranceEnd":
        this.#readUtteranceEnd(message, sink);
        return;
      case "Error":
        sink.failed({
          reason: "STREAM_BROKEN",
          what: "reported an error and gave up the stream",
          detail: {
            providerCode: textOf(message["variant"]),
            providerMessage: textOf(message["description"]) || textOf(message["message"]),
          },
        });
        return;
      default: // Metadata, Warning, and what they may add: nothing to act on
    }
  }

  #readResults(message: Message, sink: TranscriptSink): void {
    const channel = message["channel"] as { readonly alternatives?: readonly Message[] } | undefined;
    const best = channel?.alternatives?.[0];
    const startMs = msOf(message["start"]);
    const durationMs = msOf(message["duration"]);
    if (best === undefined || Number.isNaN(startMs + durationMs)) {
      sink.failed({ reason: "PROTOCOL_ERROR", what: "sent a result without transcript or times" });
      return;
    }
    const text = textOf(best["transcript"]);
    const words = wordsOf(best["words"]);
    if (message["is_final"] !== true) {
      sink.interim(text, words, startMs, startMs + durationMs);
      return;
    }
    const paused = message["speech_final"] === true;
    this.#pauseUnreported = !paused && (this.#pauseUnreported || text !== "");
    sink.final(text, words, startMs, startMs + durationMs, paused);
  }

  #readUtteranceEnd(message: Message, sink: TranscriptSink): void {
    if (!this.#pauseUnreported) return;
    this.#pauseUnreported = false;
    const atMs = Math.max(0, msOf(message["last_word_end"]) || 0);
    sink.final("", [], atMs, atMs, true);
  }
}
