import { readFileSync } from "node:fs";
import t from "tap";
import { settingsPage } from "./settings-page.js";

void t.test("docs/SETTINGS.md is what the schemas say", async (t) => {
  t.equal(readFileSync("docs/SETTINGS.md", "utf8"), settingsPage());
});
