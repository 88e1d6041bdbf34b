/** docs/SETTINGS.md, from the schemas of every process. */
import type { z } from "zod";
import { type SettingsSchema, settingMeta } from "./fields.js";

export interface SettingsSection {
  /** Which process, as the heading says it. */
  readonly title: string;
  readonly schema: SettingsSchema;
}

/** Settings that stand in several sections come first, once. */
export function renderSettingsPage(sections: readonly SettingsSection[]): string {
  const holders = new Map<string, SettingsSchema[]>();
  for (const { schema } of sections) {
    for (const name of Object.keys(schema.shape)) holders.set(name, [...(holders.get(name) ?? []), schema]);
  }
  const shared = [...holders].filter(([, schemas]) => schemas.length > 1);
  return [
    "# Settings",
    "",
    "Environment variables, read once at start. An empty variable counts as unset. A wrong value stops the start with",
    "one sentence; so does an unknown variable that begins with `LUMENTRA_` or, for a node, as those of a carrier or",
    "provider do (`TWILIO_`, `DEEPGRAM_` …), unless other programs have such variables too (`OPENAI_`, `OLLAMA_` …).",
    "A setting marked Secret may instead be given as a file: `TWILIO_AUTH_TOKEN_FILE=/run/secrets/twilio`.",
    "",
    "This page is generated: `npm run docs`.",
    "",
    ...(shared.length === 0
      ? []
      : table(
          "Every process",
          shared.map(([name, [schema]]) => row(schema!, name)),
        )),
    ...sections.flatMap(({ title, schema }) =>
      table(
        title,
        Object.keys(schema.shape)
          .filter((name) => holders.get(name)!.length === 1)
          .map((name) => row(schema, name)),
      ),
    ),
  ].join("\n");
}

function table(title: string, rows: readonly string[]): string[] {
  return [`## ${title}`, "", "| variable | default | what it does |", "| --- | --- | --- |", ...rows, ""];
}

function row(schema: SettingsSchema, name: string): string {
  const { help, shownDefault, secret } = settingMeta(schema, name);
  const shown = shownDefault ?? shownValue(schema.shape[name]!);
  return `| \`${name}\` | ${shown} | ${help}${secret ? " Secret." : ""} |`;
}

function shownValue(field: z.ZodType): string {
  const data = field.safeParse(undefined).data as string | number | boolean | undefined;
  return data === undefined ? "unset" : `\`${String(data)}\``;
}
