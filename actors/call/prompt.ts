/** The system prompt: who the agent is, how it speaks, what it may tell. */
import { DateTime } from "luxon";
import { type TenantConfig, describeHours } from "#actors/tenants";

const LANGUAGE_NAMES = { en: "English", es: "Spanish", fr: "French" } as const;

const GREETINGS = {
  en: "Hello, this is {agent} at {business}. How can I help you?",
  es: "Hola, le habla {agent} de {business}. ¿En qué puedo ayudarle?",
  fr: "Bonjour, {agent} de {business} à votre écoute. Que puis-je faire pour vous ?",
} as const;

const DISCLOSURES = {
  en: "I am an AI assistant.",
  es: "Soy un asistente de inteligencia artificial.",
  fr: "Je suis un assistant d'intelligence artificielle.",
} as const;

export function systemPrompt(tenant: TenantConfig, nowUnixMs: number): string {
  const today = DateTime.fromMillis(nowUnixMs, { zone: tenant.timeZone });
  const lines = [
    `You are ${tenant.agentName}, answering the phone at ${tenant.name}, a ${tenant.industry}.`,
    `Speak ${LANGUAGE_NAMES[tenant.language]}. This is a phone call: answer in under 30 words, in plain spoken`,
    "sentences, without lists, symbols or formatting. Confirm names, numbers and times by repeating them.",
    "Do not bring up that you are an AI. If the caller sincerely asks whether you are one, say yes.",
    "Say only what you know from below. If you do not know, say so and offer to help with something else.",
    "Use a tool when it fits; never read its output aloud word for word.",
    `Today is ${today.toFormat("cccc, d LLLL yyyy, HH:mm")}.`,
    `Opening hours: ${describeHours(tenant)}.`,
    ...Object.entries(tenant.facts).map(([topic, fact]) => `${topic}: ${fact}`),
  ];
  if (tenant.instructions !== "") lines.push(tenant.instructions);
  return lines.join("\n");
}

export function greetingText(tenant: TenantConfig): string {
  const template = tenant.greeting ?? GREETINGS[tenant.language];
  const greeting = fillTemplate(template, tenant);
  return tenant.disclosure === "greeting" ? `${DISCLOSURES[tenant.language]} ${greeting}` : greeting;
}

/** Fills in {business} and {agent}. */
function fillTemplate(template: string, tenant: TenantConfig): string {
  return template.replaceAll("{business}", tenant.name).replaceAll("{agent}", tenant.agentName);
}
