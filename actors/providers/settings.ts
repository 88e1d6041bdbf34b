/**
 * What the providers of a shard are built with: plain, complete, in milliseconds. Keys and addresses come
 * from the environment (node/provider-accounts.ts); the rest are `providerDefaults` unless a test says otherwise.
 */

export interface DeepgramSettings {
  readonly apiKey: string;
  /** Origin; `http` and `https` are taken for `ws` and `wss`. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** While the caller is speaking (`write(…, true)`): longest time without any message. */
  readonly speechTimeoutMs: number;
  /** While audio flows: longest time without any message, speech or not. */
  readonly silenceTimeoutMs: number;
  /** v1: silence after which it reports the end of speech. */
  readonly endpointingMs: number;
  /** v1: gap between words after which it says that the utterance is over; at least 1,000. */
  readonly utteranceEndMs: number;
  /** Flux: confidence that ends a turn, 0.5 to 1. */
  readonly eotThreshold: number;
  /** Flux: confidence at which `onEagerEndOfTurn` fires, 0.3 to 0.9. */
  readonly eagerEotThreshold: number;
  /** Flux: silence that ends a turn whatever the confidence. */
  readonly eotTimeoutMs: number;
  /** Flux: `finalize()` ends the turn. Only where Deepgram has enabled it for the account: else it closes the stream. */
  readonly forceEndTurn: boolean;
  /** Sockets held open ahead for each kind of request (model, language, format, keyterms). */
  readonly warmPerKind: number;
  /** Sockets held open ahead in all, per provider and shard. */
  readonly warmMax: number;
  /** Streams of one shard from which on audio goes in larger messages. */
  readonly crowdedStreams: number;
}

export interface AssemblySettings {
  readonly apiKey: string;
  /** Origin; `http` and `https` are taken for `ws` and `wss`. */
  readonly url: string;
  /** To the socket, and once more to the session's `Begin`. */
  readonly connectTimeoutMs: number;
  readonly speechTimeoutMs: number;
  readonly silenceTimeoutMs: number;
  /** Punctuation and case: the end of a turn is told twice then, the second time formatted. */
  readonly formatTurns: boolean;
  /** Confidence that ends a turn after `minTurnSilenceMs`. */
  readonly endOfTurnConfidence: number;
  readonly minTurnSilenceMs: number;
  /** Silence that ends a turn whatever the confidence. */
  readonly maxTurnSilenceMs: number;
  readonly warmPerKind: number;
  readonly warmMax: number;
  readonly crowdedStreams: number;
}

/** Of any language model. */
export interface LlmSettings {
  /** Empty: the server wants none. */
  readonly apiKey: string;
  /** Origin, to which the API's usual path is added; or with a path of its own, the API's base. */
  readonly url: string;
  /** From `generate` to the first piece of text or tool call. */
  readonly firstTokenTimeoutMs: number;
  /** Between two pieces, and to the end of the stream. */
  readonly betweenTokensTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Requests running at once, and so sockets, per shard. */
  readonly requestsMax: number;
}

export interface CartesiaSettings {
  readonly apiKey: string;
  /** Origin; `http` and `https` are taken for `ws` and `wss`. */
  readonly url: string;
  /** `Cartesia-Version`: the API's date we speak. */
  readonly version: string;
  readonly connectTimeoutMs: number;
  /** From the first text that waits for audio to that audio. */
  readonly firstAudioTimeoutMs: number;
  /** Between two events once all text was sent, and to `done`. */
  readonly betweenEventsTimeoutMs: number;
  /** Sockets kept open even when nobody speaks. */
  readonly socketsAhead: number;
  readonly socketsMax: number;
  /** Replies spoken at once on one socket. */
  readonly contextsPerSocket: number;
}

/** Batch transcription as OpenAI's: one's own server, or Groq. */
export interface WhisperSettings {
  /** Empty: the server wants none. */
  readonly apiKey: string;
  /** Origin; with a path of its own, that is the API's. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** From an utterance's sending to its whole transcription. */
  readonly requestTimeoutMs: number;
  /** While somebody speaks, what was said so far is transcribed this often; 0: never. */
  readonly interimEveryMs: number;
  /** Requests running at once, and so sockets, per shard. */
  readonly requestsMax: number;
}

export interface ElevenLabsSettings {
  readonly apiKey: string;
  /** Origin; `http` and `https` are taken for `ws` and `wss`. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** From the first text that waits for audio to that audio. */
  readonly firstAudioTimeoutMs: number;
  /** Between two events once all text was sent, and to the final one. */
  readonly betweenEventsTimeoutMs: number;
  /** Sockets kept open for each voice in use, even when nobody speaks. */
  readonly socketsAhead: number;
  /** Over all voices. */
  readonly socketsMax: number;
  /** Replies spoken at once on one socket; the vendor's bound is 5. */
  readonly contextsPerSocket: number;
}

/** A voice that is asked by HTTP, clause by clause, and answers in PCM or WAV. */
export interface HttpPcmSettings {
  /** "" where the server wants none. */
  readonly apiKey: string;
  /** Origin; the path is added. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** From when it is a request's turn to its first audio. */
  readonly firstAudioTimeoutMs: number;
  /** Between two pieces of an answer, and to its end. */
  readonly betweenEventsTimeoutMs: number;
  /** Replies spoken at once, per shard. */
  readonly repliesMax: number;
}

/** By account; one that this node was not given is absent. */
export interface ProviderSettings {
  readonly deepgram?: DeepgramSettings;
  readonly assemblyai?: AssemblySettings;
  readonly whisper?: WhisperSettings;
  readonly groqWhisper?: WhisperSettings;
  readonly groq?: LlmSettings;
  readonly cerebras?: LlmSettings;
  readonly together?: LlmSettings;
  readonly openai?: LlmSettings;
  readonly ollama?: LlmSettings;
  readonly vllm?: LlmSettings;
  readonly anthropic?: LlmSettings;
  readonly cartesia?: CartesiaSettings;
  readonly elevenlabs?: ElevenLabsSettings;
  readonly openaiSpeech?: HttpPcmSettings;
  readonly piper?: HttpPcmSettings;
}

const LLM_DEFAULTS = {
  // p99 of a loaded model is about 2 s; at 5 the caller has long wondered whether the line is dead.
  firstTokenTimeoutMs: 5_000,
  // Tokens come every few milliseconds; a pause this long has drained all audio that was ahead.
  betweenTokensTimeoutMs: 3_000,
  connectTimeoutMs: 3_000,
  // Of 500 calls each its answer and one begun on the interim: after a standstill all of them ask at once, and who is
  // refused here is told that nobody can answer. What a vendor takes is its account's budget.
  requestsMax: 1_024,
} as const;

const WHISPER_DEFAULTS = {
  connectTimeoutMs: 3_000,
  // Half a second is usual for a sentence; at 8 the caller has long asked whether anybody is there.
  requestTimeoutMs: 8_000,
  // 500 calls of which every eighth has just fallen silent.
  requestsMax: 64,
} as const;

const CROWDED_STREAMS = 150;

export const providerDefaults = {
  deepgram: {
    url: "wss://api.deepgram.com",
    // TCP, TLS and upgrade take 150 to 400 ms across an ocean; after this the caller has waited long enough.
    connectTimeoutMs: 3_000,
    // Interims come once a second at worst, but with noise taken for speech only an empty final every 5 s.
    speechTimeoutMs: 8_000,
    // In silence Deepgram still reports empty results every few seconds; several are missing.
    silenceTimeoutMs: 30_000,
    // Deepgram's 10 splits words at every stop; ours decides the turn from words and VAD, and wants finals soon.
    endpointingMs: 100,
    // The least that Deepgram recommends; only matters when noise hides the end of speech from it.
    utteranceEndMs: 1_000,
    // Deepgram's own defaults for a turn's end; eager at the middle of its range.
    eotThreshold: 0.7,
    eagerEotThreshold: 0.5,
    eotTimeoutMs: 5_000,
    forceEndTurn: false,
    // A new call every 200 ms and shard finds one open: a refill takes a handshake, and two cover its tail.
    warmPerKind: 2,
    // They count against the account's concurrency (50 by default), which the calls themselves need.
    warmMax: 8,
    // A shard's thread is a quarter busy with so many conversations.
    crowdedStreams: CROWDED_STREAMS,
  },
  assemblyai: {
    url: "wss://streaming.assemblyai.com",
    connectTimeoutMs: 3_000,
    // It says nothing about noise, which our voice activity may take for speech: longer than a lorry passes.
    speechTimeoutMs: 15_000,
    // Nothing is said in silence; the socket's pings tell whether it lives.
    silenceTimeoutMs: Number.POSITIVE_INFINITY,
    // The unformatted end comes first and a reply is prepared on it, so the text costs no time.
    formatTurns: true,
    // AssemblyAI's own; its 400 ms of silence are a third of what a caller waits for an answer.
    endOfTurnConfidence: 0.4,
    minTurnSilenceMs: 160,
    maxTurnSilenceMs: 1_280,
    // Sessions are paid for by time: one covers most calls' first words.
    warmPerKind: 1,
    warmMax: 4,
    crowdedStreams: CROWDED_STREAMS,
  },
  // Each interim is the whole utterance again: on one's own GPU that costs time only.
  whisper: { ...WHISPER_DEFAULTS, interimEveryMs: 1_000 },
  // Ten seconds at least are paid for with every request.
  groqWhisper: { ...WHISPER_DEFAULTS, url: "https://api.groq.com", interimEveryMs: 0 },
  groq: { ...LLM_DEFAULTS, url: "https://api.groq.com" },
  cerebras: { ...LLM_DEFAULTS, url: "https://api.cerebras.ai" },
  together: { ...LLM_DEFAULTS, url: "https://api.together.xyz" },
  openai: { ...LLM_DEFAULTS, url: "https://api.openai.com" },
  // A model not used for five minutes is loaded anew; and it answers a few at once, the others wait in its queue.
  ollama: { ...LLM_DEFAULTS, firstTokenTimeoutMs: 10_000, requestsMax: 16 },
  vllm: LLM_DEFAULTS,
  anthropic: { ...LLM_DEFAULTS, url: "https://api.anthropic.com" },
  cartesia: {
    url: "wss://api.cartesia.ai",
    version: "2026-03-01",
    connectTimeoutMs: 3_000,
    // 40 to 90 ms is usual; at 3 s the caller has heard nothing for longer than any pause in speech.
    firstAudioTimeoutMs: 3_000,
    // Audio is made faster than it plays; a gap this long has been heard.
    betweenEventsTimeoutMs: 3_000,
    socketsAhead: 1,
    // 8 × 64 replies at once is beyond any account's concurrency (15 on Scale, Enterprise by contract).
    socketsMax: 8,
    // 200 were fine; 64 keep the loss small when a socket drops and its audio below 3 MB/s.
    contextsPerSocket: 64,
  },
  openaiSpeech: {
    url: "https://api.openai.com",
    connectTimeoutMs: 3_000,
    // Half a second is usual, twice that under load.
    firstAudioTimeoutMs: 4_000,
    betweenEventsTimeoutMs: 3_000,
    // One for each of 500 calls; what the vendor takes is its account's budget.
    repliesMax: 512,
  },
  piper: {
    connectTimeoutMs: 1_000,
    // It answers when all of a clause is spoken, and one request after the other.
    firstAudioTimeoutMs: 5_000,
    betweenEventsTimeoutMs: 3_000,
    // Four cores speak at 10 to 20 times real time; more would only wait there.
    repliesMax: 32,
  },
  elevenlabs: {
    url: "wss://api.elevenlabs.io",
    connectTimeoutMs: 3_000,
    // 75 ms and the way there for Flash, 300 for the others; as for the other voice.
    firstAudioTimeoutMs: 3_000,
    betweenEventsTimeoutMs: 3_000,
    socketsAhead: 1,
    // Each voice in use has its own; 100 × 5 are one reply for each of 500 calls, beyond any plan's concurrency (30 on Business).
    socketsMax: 100,
    // The vendor's own bound.
    contextsPerSocket: 5,
  },
} as const satisfies Readonly<Record<keyof ProviderSettings, object>>;

/** `http` to `ws`, `https` to `wss`, without a slash at the end. */
export function webSocketOrigin(url: string): string {
  return url.replace(/^http/, "ws").replace(/\/+$/, "");
}
