/**
 * A tenant on the wire (lumentra.control.v1.Tenant): one codec per field, in a table whose type asks for every field of
 * our schema and every field of the proto's.
 *
 * Invariants
 * T1 what is written here is read back the same.
 * T2 what the proto leaves out (empty text, 0, an absent message) gets the schema's default; what is left out and has
 *    none, or is wrong, is refused with the path that the sender used: "config.time_zone".
 */
import type {
  OpeningDay,
  OpeningDay__Output,
  TenantConfig as ConfigMessage,
  TenantConfig__Output as ConfigMessage__Output,
  OverflowPolicy,
  OverflowPolicy__Output,
  Tenant as TenantMessage,
  Tenant__Output as TenantMessage__Output,
} from "#proto";
import { LumentraError } from "#runtime/errors";
import type { z } from "zod";
import { type TenantConfig, WEEKDAYS, type Weekday, completed, tenantFields } from "./tenant.js";

/** Without what stands beside it: the id, and numbers, which have a service of their own. */
export const tenantSettingsSchema = tenantFields.omit({ id: true, numbers: true }).transform(completed);
/** Complete: every default filled in. */
export type TenantSettings = z.infer<typeof tenantSettingsSchema>;

/** What a node is told of a tenant. */
export interface TenantSnapshot {
  readonly config: TenantConfig;
  readonly resellerId: string;
  readonly version: number;
  /** It, or its reseller, is suspended: callers get the overflow. */
  readonly suspended: boolean;
}

type Input = z.input<typeof tenantSettingsSchema>;
/** A field that the proto has and the schema has not, or the other way round, does not compile. */
type Field = keyof TenantSettings | keyof ConfigMessage;
type Codecs = {
  readonly [Key in Field]-?: {
    toProto(value: TenantSettings[Key]): ConfigMessage[Key] | undefined;
    fromProto(message: ConfigMessage__Output[Key]): Input[Key] | undefined;
  };
};

const text = {
  toProto: (value: string): string => value,
  fromProto: (value: string): string | undefined => value || undefined,
};

const DISCLOSURES = {
  greeting: "DISCLOSURE_GREETING",
  on_request: "DISCLOSURE_ON_REQUEST",
} as const satisfies Record<TenantSettings["disclosure"], string>;

/** Every field of `Message` must be said. */
type Complete<Message> = { [Key in keyof Message as Key extends `_${string}` ? never : Key]-?: Message[Key] };

const codecs: Codecs = {
  name: text,
  industry: text,
  timeZone: text,
  language: { ...text, fromProto: (value) => (value || undefined) as Input["language"] },
  agentName: text,
  greeting: { toProto: (value) => value, fromProto: (value) => value || undefined },
  disclosure: {
    toProto: (value) => DISCLOSURES[value],
    fromProto: (value) => {
      if (value === "DISCLOSURE_UNSPECIFIED") return undefined;
      const found = Object.entries(DISCLOSURES).find(([, name]) => name === value);
      return (found?.[0] ?? value) as TenantSettings["disclosure"];
    },
  },
  instructions: text,
  facts: { toProto: (value) => value, fromProto: (value) => ({ ...value }) },
  hours: { toProto: hoursToProto, fromProto: hoursFromProto },
  keyterms: { toProto: (value) => value, fromProto: (value) => value },
  stt: {
    toProto: ({ provider, model, fallbacks }) =>
      ({ provider, model, fallbacks }) satisfies Complete<NonNullable<ConfigMessage["stt"]>>,
    fromProto: (value) => withFallbacks(value),
  },
  llm: {
    toProto: ({ provider, model, temperature, maxOutputTokens, fallbacks, hedge }) =>
      ({ provider, model, temperature, maxOutputTokens, fallbacks, hedge }) satisfies Complete<
        NonNullable<ConfigMessage["llm"]>
      >,
    fromProto: (value) => ({
      ...withFallbacks(value),
      ...(value?.temperature === undefined ? {} : { temperature: value.temperature }),
    }),
  },
  tts: {
    toProto: ({ provider, model, voice, fallbacks }) =>
      ({ provider, model, voice, fallbacks }) satisfies Complete<NonNullable<ConfigMessage["tts"]>>,
    fromProto: (value) => withFallbacks(value),
  },
  tools: {
    toProto: (names) => ({ names }),
    fromProto: (value) => (value ? (value.names as Input["tools"]) : undefined),
  },
  limits: {
    toProto: ({ concurrentCalls, callMinutes }) =>
      ({ concurrentCalls, callMinutes }) satisfies Complete<NonNullable<ConfigMessage["limits"]>>,
    fromProto: (value) => given(value),
  },
  overflow: { toProto: overflowToProto, fromProto: overflowFromProto },
  retention: {
    toProto: ({ callDays }) => ({ callDays }) satisfies Complete<NonNullable<ConfigMessage["retention"]>>,
    fromProto: (value) => given(value),
  },
};
const FIELDS = Object.keys(codecs) as readonly Field[];

export function tenantSettingsToProto(settings: TenantSettings): ConfigMessage {
  const message: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const value = (codecs[field].toProto as (value: unknown) => unknown)(settings[field]);
    if (value !== undefined) message[field] = value;
  }
  return message;
}

/**
 * @param prefix what the paths of violations begin with
 * @throws LumentraError TENANT_CONFIG_INVALID, `detail.violations` has every wrong field
 */
export function tenantSettingsFromProto(
  message: ConfigMessage__Output | null,
  prefix = "config",
): TenantSettings {
  const input: Record<string, unknown> = {};
  if (message === null) throw invalid([{ field: prefix, description: "is required" }]);
  const repeated = repeatedDay(message.hours);
  if (repeated !== undefined) {
    throw invalid([{ field: `${prefix}.hours`, description: `has ${repeated} twice` }]);
  }
  for (const field of FIELDS) {
    const value = (codecs[field].fromProto as (value: unknown) => unknown)(message[field]);
    if (value !== undefined) input[field] = value;
  }
  const result = tenantSettingsSchema.safeParse(input);
  if (result.success) return result.data;
  throw invalid(
    result.error.issues.map((issue) => ({
      field: pathOf(prefix, issue.path),
      description: descriptionOf(issue),
    })),
  );
}

/** @throws LumentraError TENANT_CONFIG_INVALID */
export function tenantFromProto(message: TenantMessage__Output): TenantSnapshot {
  const { id, numbers, resellerId, version, suspended, resellerSuspended } = message;
  return {
    config: { ...tenantSettingsFromProto(message.config), id, numbers },
    resellerId,
    version,
    suspended: suspended || resellerSuspended,
  };
}

/** What of a tenant a node needs, as WatchTenants would tell it: for caches and tests. */
export function tenantToProto({ config, resellerId, version, suspended }: TenantSnapshot): TenantMessage {
  const { id, numbers, ...settings } = config;
  return { id, numbers, resellerId, version, suspended, config: tenantSettingsToProto(settings) };
}

function hoursToProto(hours: TenantSettings["hours"]): OpeningDay[] {
  return WEEKDAYS.filter((weekday) => hours[weekday].length > 0).map((weekday) => ({
    weekday,
    spans: hours[weekday].map(({ open, close }) => ({ open, close })),
  }));
}

function hoursFromProto(days: readonly OpeningDay__Output[]): Input["hours"] {
  return Object.fromEntries(
    days.map(({ weekday, spans }) => [weekday, spans.map(({ open, close }) => ({ open, close }))]),
  ) as Partial<Record<Weekday, { open: string; close: string }[]>>;
}

function repeatedDay(days: readonly OpeningDay__Output[]): string | undefined {
  return days.find(({ weekday }, index) => days.findIndex((day) => day.weekday === weekday) !== index)
    ?.weekday;
}

function overflowToProto(overflow: TenantSettings["overflow"]): OverflowPolicy {
  if (overflow.kind === "busy") return { busy: {} };
  if (overflow.kind === "message") return { message: { text: overflow.text } };
  if (overflow.kind === "forward") return { forward: { number: overflow.number } };
  return { queue: { name: overflow.name } };
}

function overflowFromProto(message: OverflowPolicy__Output | null): Input["overflow"] {
  const kind = message?.kind;
  if (message === null || kind === undefined) return undefined;
  return { kind, ...message[kind] } as Input["overflow"];
}

/** T2, also within each fallback. */
function withFallbacks(message: { readonly fallbacks: readonly object[] } | null): object {
  const { fallbacks = [], ...rest } = message ?? {};
  return { ...given(rest), ...(fallbacks.length === 0 ? {} : { fallbacks: fallbacks.map(given) }) };
}

/** T2. Without what the proto left out. */
function given(message: object | null): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(message ?? {}).filter(
      ([key, value]) => value !== "" && value !== 0 && !key.startsWith("_"),
    ),
  ) as Record<string, string | number>;
}

/** As the proto spells it; topics of facts are the sender's own and stay as they are. */
function pathOf(prefix: string, [field, ...rest]: readonly PropertyKey[]): string {
  if (field === undefined) return prefix;
  const inner = rest.map((part) => (field === "facts" ? String(part) : snakeCase(String(part))));
  return [prefix, snakeCase(String(field)), ...inner].join(".");
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Never the value itself: a greeting or a fact may be somebody's. */
function descriptionOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type" && issue.input === undefined) return "is required";
  if (issue.code === "unrecognized_keys") return `has no ${issue.keys.join(", ")}`;
  return issue.message.replace(/^Invalid input: /, "").replace(/^Too (small|big): /, "");
}

function invalid(violations: readonly { field: string; description: string }[]): LumentraError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  return new LumentraError("TENANT_CONFIG_INVALID", `${first?.field} ${first?.description}${more}`, {
    detail: { violations },
  });
}
