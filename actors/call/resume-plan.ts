/** What a resumed call does first: the words for where the conversation stands. Pure. */
import type { CallOutcome } from "#runtime/cluster";
import type { JournalFact } from "#actors/journal";
import { phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import { greetingText } from "./prompt.js";
import type { ResumePoint } from "./resume.js";

/** A shorter silence is taken for a pause of the agent's; a longer one needs a word. */
export const CUT_OFF_AFTER_MS = 2_000;

type Source = Extract<JournalFact, { kind: "agentTurn" }>["source"];

export type ResumePlan =
  /** Then the caller has the floor, or the call ends. */
  | {
      readonly kind: "say";
      readonly texts: readonly string[];
      readonly source: Source;
      readonly endsCall: boolean;
    }
  /** Asks the model. `said`: what of the caller's turn is not in history and journal yet. */
  | {
      readonly kind: "answer";
      readonly said: string;
      /** Said while the model thinks. */
      readonly lead: string | null;
      /** For the model. */
      readonly note: string | null;
    }
  /** Last words, or none when they were heard. */
  | { readonly kind: "leave"; readonly text: string; readonly outcome: CallOutcome }
  | { readonly kind: "listen" };

export function planResume(point: ResumePoint, gapMs: number, tenant: TenantConfig): ResumePlan {
  const { cutOff, goOn } = phrasesFor(tenant.language);
  const wasLong = gapMs > CUT_OFF_AFTER_MS;
  switch (point.kind) {
    case "greet":
      return { kind: "say", texts: [greetingText(tenant)], source: "greeting", endsCall: false };
    case "speak": {
      const { text, source, endsCall } = point;
      const texts = wasLong ? [cutOff, text] : [text];
      return { kind: "say", texts, source, endsCall };
    }
    case "answer":
      return {
        kind: "answer",
        said: point.said,
        lead: wasLong ? cutOff : null,
        note: point.heard === "" ? null : goOnNote(point.heard),
      };
    case "leave":
      return { kind: "leave", text: point.text, outcome: point.outcome };
    case "listen":
      break;
  }
  return wasLong
    ? { kind: "say", texts: [cutOff, goOn], source: "prompt", endsCall: false }
    : { kind: "listen" };
}

function goOnNote(heard: string): string {
  return (
    `The line was cut while you were speaking. Of your answer the caller has heard: "${heard}" ` +
    "Say the rest of it, without repeating what was heard."
  );
}
