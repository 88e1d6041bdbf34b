/** What a tenant's agent says without a model: everything whose audio is worth having ahead. */
import { type QuickReply, phrasesFor, quickReplyTexts } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import { greetingText } from "./prompt.js";

const QUICK_REPLIES = [
  "greeting",
  "thanks",
  "farewell",
  "howAreYou",
] as const satisfies readonly QuickReply[];

/** The reply to a kind of small talk; always the same for a tenant, so that its audio is cached. */
export function quickReplyText(tenant: TenantConfig, kind: QuickReply): string {
  const values = { agentName: tenant.agentName, businessName: tenant.name };
  return quickReplyTexts(kind, tenant.language, values)[0]!;
}

/** Said when the shard under a call is gone: the edge keeps its audio. */
export function shardLostApology(tenant: TenantConfig): string {
  return phrasesFor(tenant.language).apology.shardLost;
}

/** Played to callers who are refused: the edge keeps its audio. Null when the tenant's overflow is another. */
export function overflowMessage({ overflow }: TenantConfig): string | null {
  return overflow.kind === "message" ? overflow.text : null;
}

/** Of what is worth having ahead, what nobody must be left without when the tenant's voice is gone. */
export function essentialTexts(tenant: TenantConfig): readonly string[] {
  const phrases = phrasesFor(tenant.language);
  const overflow = overflowMessage(tenant);
  // In the order of need: there may be time for some of them only.
  return [
    phrases.apology.shardLost,
    greetingText(tenant),
    phrases.apology.providerDown,
    phrases.messageOffer,
    phrases.messageThanks,
    ...(overflow === null ? [] : [overflow]),
    phrases.messagePrompt,
    phrases.silenceGoodbye,
    phrases.goodbye,
    ...phrases.fillers,
  ];
}

export function cacheableTexts(tenant: TenantConfig): readonly string[] {
  const phrases = phrasesFor(tenant.language);
  return [
    greetingText(tenant),
    phrases.apology.providerDown,
    phrases.apology.shardLost,
    phrases.messageOffer,
    phrases.messagePrompt,
    phrases.messageThanks,
    phrases.goodbye,
    phrases.silenceGoodbye,
    phrases.callTooLong,
    phrases.cutOff,
    phrases.goOn,
    ...phrases.silencePrompts,
    ...phrases.fillers,
    ...phrases.didNotCatch,
    ...QUICK_REPLIES.map((kind) => quickReplyText(tenant, kind)),
  ];
}
