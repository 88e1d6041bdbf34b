/** Flux's Configure: what may change in mid-stream, checked as the query was. */
import { type FluxThresholds, QueryProblem, checkThresholds } from "./query.js";

export interface FluxConfig {
  readonly thresholds: FluxThresholds;
  readonly keyterms: readonly string[];
  readonly languageHints: readonly string[];
}

/** What holds afterwards; null when the message is refused, which changes nothing. */
export function configure(
  present: FluxConfig,
  message: Readonly<Record<string, unknown>>,
): FluxConfig | null {
  try {
    const asked = (message["thresholds"] ?? {}) as Readonly<Record<string, unknown>>;
    const { eotThreshold, eagerEotThreshold, eotTimeoutMs } = present.thresholds;
    return {
      thresholds: checkThresholds({
        eotThreshold: numberIn(asked, "eot_threshold") ?? eotThreshold,
        eagerEotThreshold: numberIn(asked, "eager_eot_threshold") ?? eagerEotThreshold,
        eotTimeoutMs: numberIn(asked, "eot_timeout_ms") ?? eotTimeoutMs,
      }),
      keyterms: textsIn(message, "keyterms") ?? present.keyterms,
      languageHints: textsIn(message, "language_hints") ?? present.languageHints,
    };
  } catch (error) {
    if (error instanceof QueryProblem) return null;
    throw error;
  }
}

/** As ConfigureSuccess tells it. */
export function configurationMessage(config: FluxConfig, multi: boolean): object {
  const { eotThreshold, eagerEotThreshold, eotTimeoutMs } = config.thresholds;
  return {
    thresholds: {
      eot_threshold: eotThreshold,
      ...(eagerEotThreshold === null ? {} : { eager_eot_threshold: eagerEotThreshold }),
      eot_timeout_ms: eotTimeoutMs,
    },
    keyterms: config.keyterms,
    ...(multi ? { language_hints: config.languageHints } : {}),
  };
}

function numberIn(fields: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = fields[name];
  if (value === undefined) return null;
  if (typeof value !== "number") throw new QueryProblem(`${name} must be a number.`);
  return value;
}

function textsIn(fields: Readonly<Record<string, unknown>>, name: string): readonly string[] | null {
  const value = fields[name];
  if (value === undefined) return null;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new QueryProblem(`${name} must be a list of texts.`);
}
