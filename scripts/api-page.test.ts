import { readFileSync } from "node:fs";
import t from "tap";
import { allRpcOptions } from "#proto";
import { apiPage } from "./api-page.js";

void t.test("docs/API.md is what the protos say, of every RPC", async (t) => {
  const page = apiPage();
  t.equal(readFileSync("docs/API.md", "utf8"), page);
  for (const [path, { scope }] of allRpcOptions()) {
    const name = path.slice(path.lastIndexOf(".") + 1).replace("/", ".");
    const section = page.slice(page.indexOf(`### ${name}\n`));
    t.match(
      section.slice(0, section.indexOf("- errors:")),
      scope === "" ? "it is open" : `\`${scope}\``,
      name,
    );
  }
  t.notMatch(page, /\| {2}\|$/m, "no field without a meaning");
});
