/**
 * What a system prompt tells the emulated model: lines of the form `Parking: …`, the business's and the
 * agent's names, the language to speak.
 */
import type { RuleLanguage } from "./rules.js";

export interface PromptFacts {
  readonly business: string;
  readonly agent: string;
  readonly language: RuleLanguage;
  /** By lower-case name. */
  readonly facts: ReadonlyMap<string, string>;
}

const factLine = /^\s*[-*•]?\s*\**([\p{L}][\p{L}\p{N} &'’/-]{1,40}?)\**\s*:\**\s+(\S.*)$/u;

/** Prompts repeat from request to request, so the last few are kept parsed. */
const CACHE_MAX = 64;
const cache = new Map<string, PromptFacts>();

export function promptFacts(prompt: string): PromptFacts {
  const cached = cache.get(prompt);
  if (cached !== undefined) return cached;
  const parsed = parse(prompt);
  if (cache.size >= CACHE_MAX) cache.delete(cache.keys().next().value!);
  cache.set(prompt, parsed);
  return parsed;
}

function parse(prompt: string): PromptFacts {
  const facts = new Map<string, string>();
  for (const line of prompt.split("\n")) {
    const match = factLine.exec(line);
    if (match !== null && !facts.has(match[1]!.toLowerCase()))
      facts.set(match[1]!.toLowerCase(), match[2]!.trim());
  }
  return {
    business: facts.get("business") ?? facts.get("business name") ?? named(prompt, businessPatterns) ?? "us",
    agent: facts.get("agent") ?? facts.get("agent name") ?? named(prompt, agentPatterns) ?? "the assistant",
    language: languageOf(prompt, facts.get("language")),
    facts,
  };
}

const businessPatterns: readonly RegExp[] = [
  /\b(?:assistant|receptionist|agent|answer(?:s|ing)?(?: the)? (?:phone|calls?))\b[^.\n]{0,40}?\b(?:of|for|at)\s+(?:the\s+)?([\p{Lu}][\p{L}'’&-]*(?:\s+[\p{Lu}&][\p{L}'’&-]*)*)/u,
];

const agentPatterns: readonly RegExp[] = [
  /\b(?:[Yy]our name is|[Yy]ou are|[Yy]ou're)\s+([\p{Lu}][\p{L}'’-]+)/u,
];

function named(prompt: string, patterns: readonly RegExp[]): string | undefined {
  for (const pattern of patterns) {
    const match = pattern.exec(prompt);
    if (match !== null) return match[1];
  }
  return undefined;
}

function languageOf(prompt: string, stated: string | undefined): RuleLanguage {
  const said =
    stated ??
    /\b(?:speak|answer|reply|respond)\b[^.\n]{0,20}\b(?:in )?([a-zA-Zñçé]{2,})\b/i.exec(prompt)?.[0] ??
    "";
  if (/\b(es|spanish|español|castellano)\b/i.test(said)) return "es";
  if (/\b(fr|french|français)\b/i.test(said)) return "fr";
  return "en";
}
