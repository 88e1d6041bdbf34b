/**
 * Reads a schema of settings from the environment, once at start.
 *
 * An empty variable counts as unset. An unknown variable with one of the process's prefixes stops the start, so that
 * a typing error is not a default. A secret may also come as a file: `TWILIO_AUTH_TOKEN_FILE=/run/secrets/x`.
 */
import { readFileSync } from "node:fs";
import type { z } from "zod";
import { LumentraError } from "#runtime/errors";
import { type SettingsSchema, settingMeta } from "./fields.js";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ResolveOptions {
  /** Variables that begin with one of these must be known. @default ["LUMENTRA_"] */
  readonly prefixes?: readonly string[];
  /** Names that other processes read from the same environment; NAME_FILE of their secrets included. @default none */
  readonly alsoKnown?: readonly string[];
}

/**
 * @throws LumentraError SETTING_INVALID, one sentence that names the variable and what it must be. The
 * value of a secret never appears in it.
 */
export function resolveSettings<Schema extends SettingsSchema>(
  schema: Schema,
  environment: Environment,
  options: ResolveOptions = {},
): z.infer<Schema> {
  const { prefixes = ["LUMENTRA_"], alsoKnown = [] } = options;
  const given = withSecretsFromFiles(schema, environment);
  const known = new Set([...Object.keys(schema.shape), ...alsoKnown]);
  for (const name of Object.keys(given)) {
    if (!prefixes.some((prefix) => name.startsWith(prefix)) || known.has(name)) continue;
    throw new LumentraError("SETTING_INVALID", `${name} is not a setting (docs/SETTINGS.md lists them all)`);
  }
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const name = String(issue?.path[0] ?? "");
  const shown = isSecret(schema, name) ? "" : ` (got ${JSON.stringify(given[name])})`;
  throw new LumentraError("SETTING_INVALID", `${name} ${issue?.message ?? "is invalid"}${shown}`);
}

/** Every variable a schema reads, NAME_FILE of its secrets included: for another process's `alsoKnown`. */
export function settingNames(schema: SettingsSchema): readonly string[] {
  return Object.keys(schema.shape).flatMap((name) =>
    isSecret(schema, name) ? [name, `${name}_FILE`] : [name],
  );
}

function isSecret(schema: SettingsSchema, name: string): boolean {
  return name in schema.shape && settingMeta(schema, name).secret === true;
}

/** Drops empty variables and puts the content of each NAME_FILE of a secret in the place of NAME. */
function withSecretsFromFiles(schema: SettingsSchema, environment: Environment): Record<string, string> {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value === "") continue;
    const base = name.endsWith("_FILE") ? name.slice(0, -"_FILE".length) : "";
    if (base === "" || !isSecret(schema, base)) {
      given[name] = value;
      continue;
    }
    if (environment[base]) {
      throw new LumentraError("SETTING_INVALID", `${base} and ${name} are both set; set one of them`);
    }
    try {
      given[base] = readFileSync(value, "utf8").trim();
    } catch (cause) {
      throw new LumentraError("SETTING_INVALID", `${name} names a file that cannot be read`, { cause });
    }
  }
  return given;
}
