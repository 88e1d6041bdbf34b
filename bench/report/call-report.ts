/** A simulated call as one JSON object: the last line of `npm run call -- --json`, and the demo's report. */
import type { JournalEvent } from "#actors/journal";
import {
  type PhoneCallResult,
  type PhoneCallStats,
  type PhoneOutcome,
  type Turn,
  turnsOf,
} from "#bench/caller";

export interface CallReport {
  /** How the phone saw it end. */
  readonly outcome: PhoneOutcome["kind"];
  /** What went wrong, in words; null when nothing did. */
  readonly failure: string | null;
  readonly callSid: string;
  readonly durationMs: number;
  readonly turns: readonly Turn[];
  /** Words that the markup had the carrier itself speak. */
  readonly carrierSaid: readonly string[];
  readonly violations: readonly string[];
  readonly stats: PhoneCallStats;
  /** As the node's admin port gave it; empty when it could not be had. */
  readonly journal: readonly JournalEvent[];
}

export function callReport(
  result: PhoneCallResult,
  journal: readonly JournalEvent[],
  failure: string | null,
): CallReport {
  const detail = "detail" in result.outcome ? result.outcome.detail : null;
  return {
    outcome: result.outcome.kind,
    failure: failure ?? detail,
    callSid: result.callSid,
    durationMs: Math.round(result.durationMs),
    turns: turnsOf(result, journal),
    carrierSaid: result.verbs.flatMap((verb) => (verb.kind === "say" ? [verb.text] : [])),
    violations: result.violations.map((violation) => `${violation.code}: ${violation.detail}`),
    stats: result.stats,
    journal,
  };
}
