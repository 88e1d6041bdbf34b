/**
 * The Lua scripts: one file each in lua/, prelude.lua before every one, loaded once from the sources' folder and sent
 * by digest.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the .lua files are: beside the compiled code's folder. */
const FOLDER = fileURLToPath(new URL("../../../control-plane/directory/lua/", import.meta.url));

const NAMES = [
  "claim",
  "confirm",
  "counts",
  "generation",
  "look-up",
  "nodes",
  "register-node",
  "release",
  "remove-node",
  "report-node",
  "reserve",
  "set-draining",
  "take-expired",
] as const;

export type ScriptName = (typeof NAMES)[number];

export interface Script {
  readonly text: string;
  /** SHA-1 of the text, as EVALSHA wants it. */
  readonly digest: string;
}

/** @throws when a file is missing: at start, not at the first call. */
export function loadScripts(): Readonly<Record<ScriptName, Script>> {
  const read = (name: string): string => readFileSync(join(FOLDER, `${name}.lua`), "utf8");
  const prelude = read("prelude");
  const load = (name: string): Script => {
    const text = `${prelude}\n${read(name)}`;
    return { text, digest: createHash("sha1").update(text).digest("hex") };
  };
  return Object.fromEntries(NAMES.map((name) => [name, load(name)])) as Record<ScriptName, Script>;
}
