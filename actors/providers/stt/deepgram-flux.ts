/**
 * Deepgram Flux (`/v2/listen`): a recogniser that decides turns itself.
 *
 * Its transcript is cumulative for the turn, so every update is an interim that replaces the one before,
 * and `EndOfTurn` is the one final of the turn. `EagerEndOfTurn` comes first, may be taken back by
 * `TurnResumed`, and says when a reply may be prepared.
 *
 * There is no KeepAlive and no Finalize: the socket's pings and a little silence hold it open while it
 * waits, and `finalize()` only sends what is batched, unless Deepgram enabled ForceEndTurn for the account.
 */
import type { DeepgramClient } from "@deepgram/sdk";
import { DEEPGRAM_ENCODING } from "./deepgram.js";
import { type DeepgramDialect, msOf, wordsOf } from "./deepgram-dialect.js";
import { type SttReader, type TranscriptSink, textOf } from "./stt-dialect.js";

/** As for v1. */
type ConnectArgs = Parameters<DeepgramClient["listen"]["v2"]["connect"]>[0];
type Message = Readonly<Record<string, unknown>>;

export const deepgramFlux: DeepgramDialect = {
  name: "deepgram-flux",
  leadInRepeats: true,
  // Deepgram recommends 80 ms; smaller pieces were measured to delay its end of turn.
  idleBatchMs: 80,
  speechBatchMs: 80,
  quietBatchMs: 80,
  crowdedBatchMs: 80,
  messageMinMs: 0,
  // What waited for its socket comes at once, and is worked through a little faster than it is spoken.
  aheadMaxMs: Number.POSITIVE_INFINITY,

  path: "/v2/listen",
  query: (request, settings) =>
    ({
      model: request.model,
      encoding: DEEPGRAM_ENCODING[request.format.encoding],
      sample_rate: request.format.sampleRateHz,
      eot_threshold: settings.eotThreshold,
      eager_eot_threshold: settings.eagerEotThreshold,
      eot_timeout_ms: settings.eotTimeoutMs,
      // The language is the model's, but for the one that hears several.
      ...(request.model.endsWith("-multi") ? { language_hint: [request.language] } : {}),
      ...(request.keyterms.length === 0 ? {} : { keyterm: [...request.keyterms] }),
    }) satisfies Partial<ConnectArgs>,
  // The wire socket's pings are what Deepgram asks for here in place of a KeepAlive.
  controls: ({ forceEndTurn }) => ({
    keepAlive: null,
    finalize: forceEndTurn ? '{"type":"ForceEndTurn"}' : null,
  }),
  createReader: () => new FluxReader(),
};

class FluxReader implements SttReader {
  /** The turn's last text sent on: updates come four times a second whether or not it changed. */
  #lastText = "";

  read(message: Message, sink: TranscriptSink): void {
    switch (message["type"]) {
      case "TurnInfo":
        this.#readTurn(message, sink);
        return;
      case "Error":
        sink.failed({
          reason: "STREAM_BROKEN",
          what: "reported an error and gave up the stream",
          detail: {
            providerCode: textOf(message["code"]),
            providerMessage: textOf(message["description"]),
          },
        });
        return;
      default: // Connected, ConfigureSuccess and what they may add: nothing to act on
    }
  }

  #readTurn(message: Message, sink: TranscriptSink): void {
    const startMs = msOf(message["audio_window_start"]);
    const endMs = msOf(message["audio_window_end"]);
    if (Number.isNaN(startMs + endMs) || typeof message["transcript"] !== "string") {
      sink.failed({ reason: "PROTOCOL_ERROR", what: "sent a turn without transcript or times" });
      return;
    }
    const text = message["transcript"];
    const words = wordsOf(message["words"]);
    const changed = text !== this.#lastText;
    this.#lastText = text;
    switch (message["event"]) {
      case "StartOfTurn":
        sink.speechStarted(words[0]?.startMs ?? startMs);
        if (text !== "") sink.interim(text, words, startMs, endMs);
        return;
      case "EagerEndOfTurn":
        sink.eagerEndOfTurn(text, words, startMs, endMs);
        return;
      case "TurnResumed":
        sink.turnResumed();
        if (changed) sink.interim(text, words, startMs, endMs);
        return;
      case "EndOfTurn":
        this.#lastText = "";
        sink.final(text, words, startMs, endMs, true);
        return;
      default: // Update, and events they may add: the transcript so far
        if (changed) sink.interim(text, words, startMs, endMs);
    }
  }
}
