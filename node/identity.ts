/** Who this node is: its id, the same over restarts, and the version of its software. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LumentraError } from "#runtime/errors";

export const NODE_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;
const FILE = "node-id";

/** As in the data folder, or a new one that is kept there. At start only: it waits for the disk. */
export function nodeIdIn(dataDirectory: string): string {
  const path = join(dataDirectory, FILE);
  const kept = read(path);
  if (kept !== null) {
    if (NODE_ID.test(kept)) return kept;
    throw new LumentraError(
      "SETTING_INVALID",
      `${path} holds no node id; remove it, or set LUMENTRA_NODE_ID`,
    );
  }
  const id = `node-${randomBytes(5).toString("hex")}`;
  mkdirSync(dataDirectory, { recursive: true });
  try {
    writeFileSync(path, `${id}\n`, { flag: "wx" });
    return id;
  } catch (cause) {
    // Another process was first.
    const theirs = read(path);
    if (theirs !== null) return theirs;
    throw new LumentraError("SETTING_INVALID", `${path} cannot be written; set LUMENTRA_NODE_ID`, { cause });
  }
}

export function softwareVersion(): string {
  const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(file) as { version: string }).version;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return null;
  }
}
