/** Prints docs/SETTINGS.md, which shows the settings of every process and so stands above them all. */
import { pathToFileURL } from "node:url";
import { settingsSchema as cliSettings } from "#cli";
import { settingsSchema as nodeSettings } from "#node";
import { settingsSchema as controlPlaneSettings } from "#control-plane";
import { renderSettingsPage } from "#runtime/settings";

/** The page as it must stand in docs/SETTINGS.md; a test compares them. */
export function settingsPage(): string {
  return renderSettingsPage([
    { title: "Node", schema: nodeSettings },
    { title: "Control plane", schema: controlPlaneSettings },
    { title: "Commands (`lumentra tenant` and the like)", schema: cliSettings },
  ]);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(settingsPage());
}
