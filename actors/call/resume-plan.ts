/** What a resumed call does first: the words for where the conversation stands. Pure. */
import type { CallOutcome } from "#runtime/cluster";
import { phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import { greetingText } from "./prompt.js";
import type { ReplySource } from "./reply-progress.js";
import type { ResumePoint } from "./resume.js";
import type { CachedSpeech } from "./voice-cache.js";

/** A shorter silence is taken for a pause of the agent's; a longer one needs a word. */
export const CUT_OFF_AFTER_MS = 2_000;

export type ResumePlan =
  /** Then the caller has the floor, or the call ends. */
  | {
      readonly kind: "say";
      readonly phrases: readonly (string | CachedSpeech)[];
      readonly source: ReplySource;
      readonly endsCall: boolean;
    }
  /** Asks the model. `said`: what of the caller's turn is not in history and journal yet. */
  | {
      readonly kind: "answer";
      readonly said: string;
      /** Said while the model thinks. */
      readonly lead: string | CachedSpeech | null;
      /** For the model. */
      readonly note: string | null;
    }
  /** Asks for a message with these words, or none when they were heard, and listens. */
  | {
      readonly kind: "message";
      readonly phrases: readonly (string | CachedSpeech)[];
      readonly code: string;
      readonly hasPart: boolean;
    }
  /** Last words, or none when they were heard. */
  | { readonly kind: "leave"; readonly text: string; readonly outcome: CallOutcome }
  | { readonly kind: "listen" };

export function planResume(point: ResumePoint, gapMs: number, tenant: TenantConfig): ResumePlan {
  const { cutOff, goOn } = phrasesFor(tenant.language);
  const wasLong = gapMs > CUT_OFF_AFTER_MS;
  switch (point.kind) {
    case "greet":
      return { kind: "say", phrases: [greetingText(tenant)], source: "greeting", endsCall: false };
    case "speak": {
      const { source, endsCall } = point;
      return { kind: "say", phrases: phrasesOf(point, wasLong ? cutOff : null), source, endsCall };
    }
    case "message": {
      const { code, hasPart } = point;
      return { kind: "message", phrases: phrasesOf(point, wasLong ? cutOff : null), code, hasPart };
    }
    case "answer":
      return {
        kind: "answer",
        said: point.said,
        lead: point.carried ?? (wasLong ? cutOff : null),
        note: heardOf(point) === "" ? null : goOnNote(heardOf(point)),
      };
    case "leave":
      return { kind: "leave", text: point.text, outcome: point.outcome };
    case "listen":
      break;
  }
  return wasLong
    ? { kind: "say", phrases: [cutOff, goOn], source: "prompt", endsCall: false }
    : { kind: "listen" };
}

/** The rest of what was being said; `bridge`: a word about the silence there was. */
function phrasesOf(
  { text, carried }: Pick<Extract<ResumePoint, { kind: "speak" }>, "text" | "carried">,
  bridge: string | null,
): readonly (string | CachedSpeech)[] {
  const rest = text === "" ? [] : [text];
  if (carried !== null) return [carried, ...rest];
  return bridge === null ? rest : [bridge, ...rest];
}

/** What will have been heard when the model's words begin. */
function heardOf({ heard, carried }: Extract<ResumePoint, { kind: "answer" }>): string {
  return [heard, carried?.text ?? ""].filter(Boolean).join(" ");
}

function goOnNote(heard: string): string {
  return (
    `The line was cut while you were speaking. Of your answer the caller has heard: "${heard}" ` +
    "Say the rest of it, without repeating what was heard."
  );
}
