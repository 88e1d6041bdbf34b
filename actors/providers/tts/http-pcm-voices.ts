/** Voices reached by one HTTP request for each text, and how they want to be asked. */
import type { VoiceRateHz } from "#runtime/media";
import type { HttpRequest } from "../http-transport.js";
import type { HttpPcmSettings } from "../settings.js";
import type { TtsVoice } from "./provider.js";

export interface HttpVoice {
  readonly name: "openai-tts" | "piper";
  /** What an answer is: 16-bit samples as they are, or in a WAV that says its rate. */
  readonly body: "pcm" | "wav";
  /** Of bare samples. */
  readonly rateHz: VoiceRateHz;
  /** Small and free: opens a connection, and tells whether the server is there. */
  readonly touchPath: string;
  request(settings: HttpPcmSettings, voice: TtsVoice, text: string, id: string): HttpRequest;
}

/** OpenAI's, and what speaks its protocol (Kokoro-FastAPI, speaches, Groq). 24 kHz, streamed. */
export const openAiSpeech: HttpVoice = {
  name: "openai-tts",
  body: "pcm",
  rateHz: 24_000,
  touchPath: "/v1/models",
  request: (settings, { model, voice }, text, id) =>
    post(settings, "/v1/audio/speech", { model, voice, input: text, response_format: "pcm" }, id),
};

/** piper1-gpl's server on a machine of one's own: no key, a whole WAV at the voice's rate. */
export const piper: HttpVoice = {
  name: "piper",
  body: "wav",
  rateHz: 22_050,
  touchPath: "/voices",
  request: (settings, { voice }, text, id) => post(settings, "/synthesize", { text, voice }, id),
};

export function authorization({ apiKey }: HttpPcmSettings): Readonly<Record<string, string>> {
  return apiKey === "" ? {} : { authorization: `Bearer ${apiKey}` };
}

function post(settings: HttpPcmSettings, path: string, body: object, id: string): HttpRequest {
  const headers = {
    "content-type": "application/json",
    // For the server's logs; a call is nobody's name.
    "x-client-request-id": id,
    ...authorization(settings),
  };
  return { method: "POST", path, headers, body: JSON.stringify(body) };
}
