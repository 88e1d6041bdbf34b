/** docs/SETTINGS.md, from the settings' schema. Run as a program it prints the page. */
import { pathToFileURL } from "node:url";
import { resolveSettings, settingMeta, settingsSchema } from "./settings.js";

/** The page as it must stand in docs/SETTINGS.md; a test compares them. */
export function renderSettingsPage(): string {
  const defaults = resolveSettings({});
  const rows = Object.keys(settingsSchema.shape).map((name) => {
    const { help, shownDefault, secret } = settingMeta(name);
    const value = defaults[name as keyof typeof defaults];
    const shown = shownDefault ?? (value === undefined ? "unset" : `\`${String(value)}\``);
    return `| \`${name}\` | ${shown} | ${help}${secret ? " Secret." : ""} |`;
  });
  return [
    "# Settings",
    "",
    "Environment variables, read once at start. An empty variable counts as unset. A wrong value, or an",
    "unknown variable with one of our prefixes, stops the start with one sentence. A setting marked Secret",
    "may instead be given as a file: `TWILIO_AUTH_TOKEN_FILE=/run/secrets/twilio`.",
    "",
    "This page is generated: `npm run build && node dist/node/settings-page.js > docs/SETTINGS.md`.",
    "",
    "| variable | default | what it does |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ].join("\n");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(renderSettingsPage());
}
