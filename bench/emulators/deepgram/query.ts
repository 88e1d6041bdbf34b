/** The query of `/v1/listen` and `/v2/listen`, checked as Deepgram does: wrong values are 400, unknown options pass. */
import type { SampleRateHz } from "#runtime/media";
import { STT_ENCODINGS, STT_SAMPLE_RATES, type SttEncoding } from "./audio-input.js";

export interface AudioFormatAsked {
  /** null: a container was promised, which the emulator cannot read. */
  readonly encoding: SttEncoding | null;
  readonly sampleRateHz: SampleRateHz;
}

export interface V1Options extends AudioFormatAsked {
  readonly model: string;
  readonly interimResults: boolean;
  /** null: never. */
  readonly endpointingMs: number | null;
  readonly utteranceEndMs: number | null;
  readonly vadEvents: boolean;
  /** Case and punctuation as spoken; otherwise bare words. */
  readonly punctuate: boolean;
  readonly language: string;
}

export interface FluxOptions extends AudioFormatAsked {
  readonly model: string;
  readonly thresholds: FluxThresholds;
  readonly keyterms: readonly string[];
  readonly languageHints: readonly string[];
}

export interface FluxThresholds {
  readonly eotThreshold: number;
  readonly eagerEotThreshold: number | null;
  readonly eotTimeoutMs: number;
}

/** Refused, and why. */
export class QueryProblem extends Error {
  readonly errCode: string;
  constructor(message: string, errCode = "INVALID_QUERY_PARAMETER") {
    super(message);
    this.errCode = errCode;
  }
}

const V1_MODELS = /^(nova-3|nova-2|nova|enhanced|base)(-[a-z]+)*$|^[0-9a-f-]{36}$/;
const FLUX_MODELS: readonly string[] = ["flux-general-en", "flux-general-multi"];
const V1_ONLY: readonly string[] = [
  "interim_results",
  "endpointing",
  "smart_format",
  "punctuate",
  "vad_events",
  "utterance_end_ms",
];
const KEYTERMS_MAX = 100;
/** The vendor takes these; the emulator cannot decode them. */
const OTHER_ENCODINGS: readonly string[] = [
  "linear32",
  "flac",
  "amr-nb",
  "amr-wb",
  "opus",
  "ogg-opus",
  "speex",
  "g729",
];

/** @throws QueryProblem */
export function parseV1Query(query: URLSearchParams): V1Options {
  const model = query.get("model") ?? "base";
  if (model.startsWith("flux")) {
    throw new QueryProblem(`Model ${model} is served by /v2/listen.`, "Bad Request");
  }
  if (!V1_MODELS.test(model)) {
    throw new QueryProblem("No such model/language/tier combination found.", "Bad Request");
  }
  if (query.has("keyterm") && !model.startsWith("nova-3")) {
    throw new QueryProblem("Keyterm Prompting is only available for Nova-3.", "Bad Request");
  }
  if (query.has("keywords") && model.startsWith("nova-3")) {
    throw new QueryProblem("Keywords are not supported for Nova-3; use keyterm.", "Bad Request");
  }
  checkKeyterms(query);
  if (wholeNumber(query, "channels", 1, 1, 20) > 1 || flag(query, "multichannel")) {
    throw new QueryProblem("The emulator hears one channel.", "Bad Request");
  }
  const interimResults = flag(query, "interim_results");
  const utteranceEndMs = query.has("utterance_end_ms")
    ? wholeNumber(query, "utterance_end_ms", 1000, 1000, 5000)
    : null;
  if (utteranceEndMs !== null && !interimResults) {
    throw new QueryProblem("utterance_end_ms requires interim_results=true.");
  }
  return {
    ...audioFormat(query),
    model,
    interimResults,
    endpointingMs: endpointing(query),
    utteranceEndMs,
    vadEvents: flag(query, "vad_events"),
    punctuate: flag(query, "punctuate") || flag(query, "smart_format"),
    language: query.get("language") ?? "en",
  };
}

/** @throws QueryProblem */
export function parseFluxQuery(query: URLSearchParams): FluxOptions {
  const model = query.get("model");
  if (model === null) throw new QueryProblem("model is required.");
  if (!FLUX_MODELS.includes(model)) throw new QueryProblem(`No such model: ${model}.`, "Bad Request");
  const v1Only = V1_ONLY.find((name) => query.has(name));
  if (v1Only !== undefined) throw new QueryProblem(`Unknown parameter for v2: ${v1Only}.`);
  if (query.has("language_hint") && model !== "flux-general-multi") {
    throw new QueryProblem("language_hint needs flux-general-multi.");
  }
  checkKeyterms(query);
  return {
    ...audioFormat(query),
    model,
    thresholds: checkThresholds({
      eotThreshold: decimal(query, "eot_threshold", 0.7),
      eagerEotThreshold: query.has("eager_eot_threshold") ? decimal(query, "eager_eot_threshold", 0.5) : null,
      eotTimeoutMs: wholeNumber(query, "eot_timeout_ms", 5000, 500, 60_000),
    }),
    keyterms: query.getAll("keyterm"),
    languageHints: query.getAll("language_hint"),
  };
}

/** @throws QueryProblem */
export function checkThresholds(thresholds: FluxThresholds): FluxThresholds {
  const { eotThreshold, eagerEotThreshold, eotTimeoutMs } = thresholds;
  if (!(eotThreshold >= 0.5 && eotThreshold <= 1)) {
    throw new QueryProblem("eot_threshold must be between 0.5 and 1.0.");
  }
  if (eagerEotThreshold !== null && !(eagerEotThreshold >= 0.3 && eagerEotThreshold <= 0.9)) {
    throw new QueryProblem("eager_eot_threshold must be between 0.3 and 0.9.");
  }
  if (eagerEotThreshold !== null && eagerEotThreshold > eotThreshold) {
    throw new QueryProblem("eager_eot_threshold must not exceed eot_threshold.");
  }
  if (!(eotTimeoutMs >= 500 && eotTimeoutMs <= 60_000)) {
    throw new QueryProblem("eot_timeout_ms must be between 500 and 60000.");
  }
  return thresholds;
}

/** The call a stream belongs to: `extra=call_id:…`, else the first tag. */
export function callIdOf(query: URLSearchParams): string | null {
  const extra = query.getAll("extra").find((item) => item.startsWith("call_id:"));
  return extra?.slice("call_id:".length) ?? query.get("tag");
}

function audioFormat(query: URLSearchParams): AudioFormatAsked {
  const encoding = query.get("encoding");
  if (encoding === null) return { encoding: null, sampleRateHz: 8000 };
  if (OTHER_ENCODINGS.includes(encoding)) {
    throw new QueryProblem(`The emulator hears ${STT_ENCODINGS.join(", ")}, not ${encoding}.`, "Bad Request");
  }
  if (!STT_ENCODINGS.includes(encoding as SttEncoding)) {
    throw new QueryProblem(`Unknown encoding: ${encoding}.`);
  }
  if (!query.has("sample_rate")) throw new QueryProblem("sample_rate is required with encoding.");
  const sampleRateHz = Number(query.get("sample_rate")) as SampleRateHz;
  if (!STT_SAMPLE_RATES.includes(sampleRateHz)) {
    throw new QueryProblem(`Unsupported sample_rate: ${query.get("sample_rate")}.`);
  }
  return { encoding: encoding as SttEncoding, sampleRateHz };
}

function endpointing(query: URLSearchParams): number | null {
  const text = query.get("endpointing");
  if (text === "false") return null;
  if (text === "true" || text === null) return 10;
  return wholeNumber(query, "endpointing", 10, 0, 10_000);
}

function checkKeyterms(query: URLSearchParams): void {
  if (query.getAll("keyterm").length > KEYTERMS_MAX) {
    throw new QueryProblem(`At most ${KEYTERMS_MAX} keyterms.`, "Bad Request");
  }
}

function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  if (text === null || text === "false") return false;
  if (text === "true") return true;
  throw new QueryProblem(`${name} must be true or false.`);
}

function wholeNumber(
  query: URLSearchParams,
  name: string,
  missing: number,
  least: number,
  most: number,
): number {
  const text = query.get(name);
  if (text === null) return missing;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    throw new QueryProblem(`${name} must be a whole number between ${least} and ${most}.`);
  }
  return value;
}

function decimal(query: URLSearchParams, name: string, missing: number): number {
  const text = query.get(name);
  if (text === null) return missing;
  const value = Number(text);
  if (text === "" || Number.isNaN(value)) throw new QueryProblem(`${name} must be a number.`);
  return value;
}
