/** How a call ended, in words. */
import type { PhoneOutcome } from "#bench/caller";

const OUTCOME_WORDS = {
  callerHungUp: "the caller hung up",
  agentHungUp: "the agent hung up",
  rejected: "the node turned the call away",
  webhookFailed: "the webhook failed",
  nodeUnreachable: "nobody answers",
  mediaFailed: "the media socket could not be opened",
  mediaLost: "the media socket was lost",
  dropped: "the line was dropped",
} as const satisfies Record<PhoneOutcome["kind"], string>;

export function describeOutcome(outcome: PhoneOutcome): string {
  const words = OUTCOME_WORDS[outcome.kind];
  if ("detail" in outcome) return `${words}: ${outcome.detail}`;
  return "reason" in outcome ? `${words}: ${outcome.reason}` : words;
}
