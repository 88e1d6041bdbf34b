/**
 * The union of all processes' settings: `lumentra` is given one environment and hands each process what it reads.
 * Loads the processes themselves, so commands that only ask the API leave it alone.
 */
import { settingsSchema as controlPlaneSchema } from "#control-plane";
import { settingsSchema as nodeSchema } from "#node";
import { LumentraError } from "#runtime/errors";
import { type Environment, type SettingsSchema, settingNames } from "#runtime/settings";
import { cliSchema } from "./settings.js";

const SCHEMAS: readonly SettingsSchema[] = [nodeSchema, controlPlaneSchema, cliSchema];

/** Every variable that some process of ours reads. */
export const ALL_NAMES: readonly string[] = [...new Set(SCHEMAS.flatMap(settingNames))];

/** What of the environment one process may see: its own settings, and all that are not ours. */
export function environmentFor(schema: SettingsSchema, environment: Environment): Record<string, string> {
  const own = new Set(settingNames(schema));
  const others = new Set(ALL_NAMES.filter((name) => !own.has(name)));
  const entries = Object.entries(environment).filter(([name]) => !others.has(name));
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Unknown variables are found here, where all names are known. @throws LumentraError SETTING_INVALID */
export function known(environment: Environment): Environment {
  const unknown = Object.keys(environment).find(
    (name) => name.startsWith("LUMENTRA_") && environment[name] !== "" && !ALL_NAMES.includes(name),
  );
  if (unknown === undefined) return environment;
  throw new LumentraError("SETTING_INVALID", `${unknown} is not a setting (docs/SETTINGS.md lists them all)`);
}

export { controlPlaneSchema, nodeSchema };
