/** docs/TENANTS.md, from the tenants' schema. Run as a program it prints the page. */
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { type ByLanguage, LLM_DEFAULTS, STT_DEFAULTS, TTS_DEFAULTS } from "./provider-names.js";
import { tenantSchema } from "./tenant.js";

interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

/** The page as it must stand in docs/TENANTS.md; a test compares them. */
export function renderTenantsPage(): string {
  const schema = z.toJSONSchema(tenantSchema, { io: "input" }) as JsonSchema;
  return [
    "# Tenants",
    "",
    '`config/tenants.json` (`LUMENTRA_TENANTS_FILE`) holds `{ "tenants": [ … ] }`, each with the fields below. The file is',
    "checked as a whole: a number or id that stands twice, an unknown field or a wrong value refuses it, and on a reload the",
    "last good version stays. Calls keep the configuration they began with.",
    "",
    "This page is generated: `npm run docs`.",
    "",
    "| field | what | default | meaning |",
    "| --- | --- | --- | --- |",
    ...rows("", schema),
    "",
    "## Providers",
    "",
    "What a choice, or a fallback, means that names the provider alone. Servers of one's own (`whisper`, `ollama`, `vllm`,",
    "`piper`) must have the model by that name, or be given another here.",
    "",
    "| kind | provider | model | voice |",
    "| --- | --- | --- | --- |",
    ...providerRows("stt", STT_DEFAULTS),
    ...providerRows("llm", LLM_DEFAULTS),
    ...providerRows("tts", TTS_DEFAULTS),
    "",
  ].join("\n");
}

function rows(prefix: string, schema: JsonSchema): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    const fallback =
      field.default === undefined
        ? schema.required?.includes(name)
          ? "required"
          : "unset"
        : `\`${JSON.stringify(field.default)}\``;
    const own = `| \`${path}\` | ${shape(field)} | ${field.properties ? "" : fallback} | ${field.description ?? ""} |`;
    return [own, ...rows(`${path}.`, field)];
  });
}

function providerRows(
  kind: string,
  defaults: typeof STT_DEFAULTS | typeof LLM_DEFAULTS | typeof TTS_DEFAULTS,
): string[] {
  const cell = (value: ByLanguage | undefined): string =>
    value === undefined ? "" : typeof value === "string" ? `\`${value}\`` : byLanguage(value);
  return Object.entries<{ readonly model: ByLanguage; readonly voice?: ByLanguage }>(defaults).map(
    ([name, { model, voice }]) => `| ${kind} | \`${name}\` | ${cell(model)} | ${cell(voice)} |`,
  );
}

function byLanguage(value: Exclude<ByLanguage, string>): string {
  return Object.entries(value)
    .map(([language, name]) => `${language}: \`${name}\``)
    .join(", ");
}

function shape(field: JsonSchema): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (field.oneOf !== undefined) return field.oneOf.map(variant).join("; ");
  if (field.items !== undefined) {
    const inner = field.items.properties
      ? `\`{${Object.keys(field.items.properties).join(", ")}}\``
      : shape(field.items);
    return `list of ${inner}${field.maxItems === undefined ? "" : `, at most ${field.maxItems}`}`;
  }
  const bounds = [
    field.minimum === undefined || field.maximum === undefined ? "" : `${field.minimum} to ${field.maximum}`,
    field.maxLength === undefined ? "" : `at most ${field.maxLength} characters`,
  ].filter(Boolean);
  return [field.type ?? "", ...bounds].filter(Boolean).join(", ");
}

function variant({ properties = {}, description = "" }: JsonSchema): string {
  const { kind, ...rest } = properties;
  return [
    `\`${String(kind?.const)}\``,
    ...Object.keys(rest).map((name) => `with \`${name}\``),
    description && `(${description})`,
  ]
    .filter(Boolean)
    .join(" ");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(renderTenantsPage());
}
