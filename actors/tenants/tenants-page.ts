/** docs/TENANTS.md, from the tenants' schema. Run as a program it prints the page. */
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { type JsonSchema, fieldRows } from "#runtime/settings";
import { type ByLanguage, LLM_DEFAULTS, STT_DEFAULTS, TTS_DEFAULTS } from "./provider-names.js";
import { tenantSchema } from "./tenant.js";

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
    ...fieldRows(schema),
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

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(renderTenantsPage());
}
