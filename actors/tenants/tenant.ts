/**
 * What a business tells us about itself: the one schema of a tenant's configuration. It yields the type,
 * the checks, the defaults and (through the descriptions) the reference in docs/TENANTS.md.
 */
import { createRequire } from "node:module";
import type { parsePhoneNumberFromString } from "libphonenumber-js";
import { IANAZone } from "luxon";
import { z } from "zod";
import {
  LLM_DEFAULTS,
  LLM_NAMES,
  STT_DEFAULTS,
  STT_NAMES,
  TTS_DEFAULTS,
  TTS_NAMES,
  withModel,
  withVoice,
} from "./provider-names.js";

const require = createRequire(import.meta.url);
let phoneNumbers: { readonly parsePhoneNumberFromString: typeof parsePhoneNumberFromString } | undefined;

/** Loads 120 files when it is first asked: shards get tenants that were checked, and never do. */
function isE164(text: string): boolean {
  phoneNumbers ??= require("libphonenumber-js") as NonNullable<typeof phoneNumbers>;
  return text.startsWith("+") && phoneNumbers.parsePhoneNumberFromString(text)?.number === text;
}

const e164 = z.string().refine(isE164, { error: "must be a phone number in E.164, such as +12025550101" });

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, "must be HH:MM, 24 hours");

const openSpan = z
  .strictObject({ open: clockTime, close: clockTime })
  .refine((span) => span.open < span.close, { error: "close must be after open on the same day" });

export const WEEKDAYS = [
  "monday",
  "tuesday",
  "wednesday",
  "thursday",
  "friday",
  "saturday",
  "sunday",
] as const;
export type Weekday = (typeof WEEKDAYS)[number];

const hoursSchema = z.strictObject(
  Object.fromEntries(WEEKDAYS.map((day) => [day, z.array(openSpan).max(4).default([])])) as Record<
    Weekday,
    z.ZodDefault<z.ZodArray<typeof openSpan>>
  >,
);

const overflowSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("busy") }).describe("The caller hears the busy signal."),
  z
    .strictObject({ kind: z.literal("message"), text: z.string().min(1).max(500) })
    .describe("The caller hears this text in the agent's voice, then the carrier hangs up."),
  z
    .strictObject({ kind: z.literal("forward"), number: e164 })
    .describe("The carrier connects the caller to this number."),
  z
    .strictObject({ kind: z.literal("queue"), name: z.string().min(1).max(64) })
    .describe("The caller waits in the carrier's queue of this name."),
]);

/** Beside the first choice: every one more is more silence before the caller hears that nobody answers. */
const MAX_FALLBACKS = 3;

function fallbacksOf<Shape extends z.core.$ZodLooseShape>(choice: Shape, whose: string) {
  return z
    .array(z.strictObject(choice))
    .max(MAX_FALLBACKS)
    .default([])
    .describe(`Whom to turn to when ${whose}, in order. One that a node has no key for is passed over.`);
}

/** Left out, it is the provider's own: `completed` fills it in. */
const modelName = z.string().min(1).max(100).optional().describe("Default: the provider's own, below.");
const voiceName = modelName;
const sttProvider = z.enum(STT_NAMES);
const llmProvider = z.enum(LLM_NAMES);
const ttsProvider = z.enum(TTS_NAMES);

/** As people write it. */
export const tenantFields = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be lower-case letters, digits and dashes")
    .describe("Stable id: in logs, metrics and journals."),
  name: z.string().min(1).max(100).describe("The business's name, as the agent says it."),
  industry: z.string().min(1).max(60).describe("What kind of business, as the prompt puts it."),
  numbers: z.array(e164).min(1).max(100).describe("Dialled numbers that reach this tenant, E.164."),
  timeZone: z
    .string()
    .refine((zone) => IANAZone.isValidZone(zone), { error: "must be an IANA zone such as America/New_York" })
    .describe("IANA time zone of the opening hours."),
  language: z.enum(["en", "es", "fr"]).default("en").describe("What agent and caller speak."),
  agentName: z.string().min(1).max(40).describe("What the agent calls itself."),
  greeting: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe("First words of the call; {business} and {agent} are filled in. Default: by language."),
  disclosure: z
    .enum(["greeting", "on_request"])
    .default("on_request")
    .describe("Say that an AI answers: in the greeting, or when asked sincerely. It is never denied."),
  instructions: z.string().max(8_000).default("").describe("Added to the system prompt."),
  facts: z
    .record(z.string().min(1).max(60), z.string().min(1).max(500))
    .default({})
    .describe("What the agent may tell, by topic: Parking, Address, Prices …"),
  hours: hoursSchema.prefault({}).describe("Opening hours by weekday; a day without spans is closed."),
  keyterms: z
    .array(z.string().min(1).max(50))
    .max(50)
    .default([])
    .describe("Names the recogniser should know."),
  stt: z
    .strictObject({
      provider: sttProvider.default("deepgram"),
      model: modelName,
      fallbacks: fallbacksOf({ provider: sttProvider, model: modelName }, "the recogniser fails"),
    })
    .prefault({})
    .describe("Speech to text."),
  llm: z
    .strictObject({
      provider: llmProvider.default("groq"),
      model: modelName,
      temperature: z.number().min(0).max(2).default(0.4),
      maxOutputTokens: z.int().min(16).max(1_000).default(200),
      fallbacks: fallbacksOf({ provider: llmProvider, model: modelName }, "the model fails"),
      hedge: z
        .boolean()
        .default(false)
        .describe("Ask the next model too when the first word is late; costs up to a fifth more requests."),
    })
    .prefault({})
    .describe("Language model."),
  tts: z
    .strictObject({
      provider: ttsProvider.default("cartesia"),
      model: modelName,
      voice: voiceName,
      fallbacks: fallbacksOf(
        { provider: ttsProvider, model: modelName, voice: voiceName },
        "the voice fails",
      ),
    })
    .prefault({})
    .describe("Voice."),
  tools: z
    .array(z.enum(["end_call", "check_opening_hours"]))
    .default(["end_call", "check_opening_hours"])
    .describe("What the agent may do."),
  limits: z
    .strictObject({
      concurrentCalls: z
        .int()
        .min(1)
        .max(10_000)
        .default(100)
        .describe("Calls at once; more get the overflow."),
      callMinutes: z.number().min(0.1).max(240).default(30).describe("Longest call, in minutes."),
    })
    .prefault({}),
  retention: z
    .strictObject({
      callDays: z.int().min(1).max(3_650).default(365).describe("Days that a call and its journal are kept."),
    })
    .prefault({}),
  overflow: overflowSchema.default({ kind: "busy" }).describe("What a caller gets when we cannot answer."),
});

type Choices = Pick<z.output<typeof tenantFields>, "language" | "stt" | "llm" | "tts">;

/** With the models and voices that were left to their providers. */
export function completed<Tenant extends Choices>(tenant: Tenant) {
  const { language, stt, llm, tts } = tenant;
  const heard = <Choice extends Choices["stt"]["fallbacks"][number]>(choice: Choice) =>
    withModel(choice, STT_DEFAULTS[choice.provider], language);
  const asked = <Choice extends Choices["llm"]["fallbacks"][number]>(choice: Choice) =>
    withModel(choice, LLM_DEFAULTS[choice.provider], language);
  const spoken = <Choice extends Choices["tts"]["fallbacks"][number]>(choice: Choice) =>
    withVoice(choice, TTS_DEFAULTS[choice.provider], language);
  return {
    ...(tenant as Omit<Tenant, "stt" | "llm" | "tts">),
    stt: { ...heard(stt), fallbacks: stt.fallbacks.map(heard) },
    llm: { ...asked(llm), fallbacks: llm.fallbacks.map(asked) },
    tts: { ...spoken(tts), fallbacks: tts.fallbacks.map(spoken) },
  };
}

export const tenantSchema = tenantFields.transform(completed);

/** Complete: every default filled in. */
export type TenantConfig = z.infer<typeof tenantSchema>;

export const tenantsFileSchema = z
  .strictObject({ tenants: z.array(tenantSchema).min(1).max(10_000) })
  .check((context) => {
    const seen = new Map<string, string>();
    for (const [index, tenant] of context.value.tenants.entries()) {
      for (const key of [tenant.id, ...tenant.numbers]) {
        const owner = seen.get(key);
        if (owner !== undefined) {
          context.issues.push({
            code: "custom",
            input: key,
            path: ["tenants", index],
            message: `${key} is already used by tenant ${owner}`,
          });
        }
        seen.set(key, tenant.id);
      }
    }
  });
