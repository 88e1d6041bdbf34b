/**
 * Keeps the disk half of the voice cache small: at each start of the node, once the shards have read what
 * their tenants need (which notes it as used), drops files that nobody has used for long and, above a number,
 * those unused longest. What is dropped by mistake is rendered again when it is asked for.
 */
import { opendir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#runtime/telemetry";

/** A tenant that comes back after a month can wait for its phrases once. */
export const VOICE_FILE_UNUSED_DAYS = 30;
/** About 40 KB each: 200 MB. A tenant has two dozen, most of them shared with those of the same voice. */
export const VOICE_FILES_MAX = 5_000;
/** Looked at per start, so that a folder of millions does not keep the disk busy; the next start goes on. */
const VOICE_FILES_LOOKED_AT_MAX = 20_000;

const DAY_MS = 86_400_000;
/** Ours alone: a phrase, or what was left of one whose writing was interrupted. */
const VOICE_FILE = /^[0-9a-f]{40}\.json(\.[0-9a-f-]{36})?$/;

/** Never rejects. Returns how many files were dropped. */
export async function trimVoiceFiles(dataDirectory: string, unixMs: number, log: Logger): Promise<number> {
  const directory = voiceDirectory(dataDirectory);
  try {
    const files = await voiceFiles(directory);
    files.sort((one, other) => other.usedAtUnixMs - one.usedAtUnixMs);
    const oldestUnixMs = unixMs - VOICE_FILE_UNUSED_DAYS * DAY_MS;
    const dropped = files.filter(
      (file, index) => index >= VOICE_FILES_MAX || file.usedAtUnixMs < oldestUnixMs,
    );
    for (const { path } of dropped) await rm(path, { force: true });
    if (dropped.length > 0) log.info({ fileCount: dropped.length }, "unused phrases dropped from disk");
    return dropped.length;
  } catch (error) {
    log.warn({ err: error }, "the voice cache's folder could not be trimmed");
    return 0;
  }
}

export function voiceDirectory(dataDirectory: string): string {
  return join(dataDirectory, "voice-cache");
}

async function voiceFiles(directory: string): Promise<{ path: string; usedAtUnixMs: number }[]> {
  const files: { path: string; usedAtUnixMs: number }[] = [];
  const entries = await opendir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []; // nothing was rendered yet
    throw error;
  });
  for await (const { name } of entries) {
    if (!VOICE_FILE.test(name)) continue;
    const path = join(directory, name);
    const file = await stat(path).catch(() => null); // null: its writing has just been finished
    if (file !== null) files.push({ path, usedAtUnixMs: file.mtimeMs });
    if (files.length >= VOICE_FILES_LOOKED_AT_MAX) break;
  }
  return files;
}
