/** Settings of the command line itself. What all processes read together is in all-settings.ts. */
import { z } from "zod";
import { type Environment, meta, resolveSettings, settingNames, text } from "#runtime/settings";

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

/**
 * The other processes' names, which may stand in the same environment, are only looked up when there are any: that
 * loads all that those processes are made of, a second's work.
 *
 * @throws LumentraError SETTING_INVALID
 */
export async function resolveCliSettings(environment: Environment): Promise<CliSettings> {
  const own = settingNames(cliSchema);
  const hasOthers = Object.keys(environment).some(
    (name) => name.startsWith("LUMENTRA_") && !own.includes(name),
  );
  const alsoKnown = hasOthers ? (await import("./all-settings.js")).ALL_NAMES : [];
  return resolveSettings(cliSchema, environment, { alsoKnown });
}
