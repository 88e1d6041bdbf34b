/**
 * Settings of the command line itself, and the union of all processes' settings: `lumentra` is given one
 * environment and hands each process what it reads.
 */
import { z } from "zod";
import { settingsSchema as controlPlaneSchema } from "#control-plane";
import { settingsSchema as nodeSchema } from "#node";
import {
  type Environment,
  type SettingsSchema,
  meta,
  resolveSettings,
  settingNames,
  text,
} from "#runtime/settings";

export const cliSchema = z.object({
  LUMENTRA_API_ADDRESS: meta(text().default("127.0.0.1:50051"), {
    help: "Where the commands find the API: host and port.",
  }),
  LUMENTRA_API_KEY: meta(text().optional(), {
    help: "Key with which the commands use the API.",
    secret: true,
  }),
  LUMENTRA_API_CA_FILE: meta(text().optional(), {
    help: "Authority of the API's certificate, PEM; unset: the system's.",
  }),
});

export type CliSettings = z.infer<typeof cliSchema>;

const SCHEMAS: readonly SettingsSchema[] = [nodeSchema, controlPlaneSchema, cliSchema];

/** Every variable that some process of ours reads. */
export const ALL_NAMES: readonly string[] = [...new Set(SCHEMAS.flatMap(settingNames))];

/** @throws LumentraError SETTING_INVALID */
export function resolveCliSettings(environment: Environment): CliSettings {
  return resolveSettings(cliSchema, environment, { alsoKnown: ALL_NAMES });
}

/** What of the environment one process may see: its own settings, and all that are not ours. */
export function environmentFor(schema: SettingsSchema, environment: Environment): Record<string, string> {
  const own = new Set(settingNames(schema));
  const others = new Set(ALL_NAMES.filter((name) => !own.has(name)));
  const entries = Object.entries(environment).filter(([name]) => !others.has(name));
  return Object.fromEntries(entries) as Record<string, string>;
}

export { controlPlaneSchema, nodeSchema };
