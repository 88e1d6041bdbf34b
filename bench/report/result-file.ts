/**
 * The JSON a benchmark leaves beside what it prints, for `charts` and `--compare` to read: at its head what was run,
 * when, where and how, so that a figure never travels without its machine.
 */
import { constants } from "node:fs";
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type MachineFacts, machineFacts } from "./machine.js";

export interface ResultHead<Kind extends string = string> {
  readonly kind: Kind;
  /** What would run it again. */
  readonly command: string;
  readonly startedAt: string;
  readonly machine: MachineFacts;
}

/** What follows such an option is nobody's business. */
const SECRET_OPTIONS = new Set(["--auth-token"]);
/** Where it is put and how it is shown changes nothing that is measured. */
const UNTOLD_OPTIONS = new Set(["--out", "--compare"]);
const UNTOLD_FLAGS = new Set(["--json"]);
/** Needs no quotes in a shell. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** How this process was called, as a line for a shell: without secrets, and without where its results went. */
export function commandLine(parameters: readonly string[] = process.argv.slice(2)): string {
  const words = parameters.flatMap((word, at) => {
    const before = parameters[at - 1] ?? "";
    const option = word.split("=", 1)[0]!;
    if (UNTOLD_OPTIONS.has(option) || UNTOLD_OPTIONS.has(before) || UNTOLD_FLAGS.has(word)) return [];
    if (SECRET_OPTIONS.has(before)) return ["…"];
    if (word.includes("=") && SECRET_OPTIONS.has(option)) return [`${option}=…`];
    return [PLAIN.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`];
  });
  return ["npm run bench --", ...words].join(" ");
}

/** Of a run that begins now. */
export function resultHead<Kind extends string>(kind: Kind): ResultHead<Kind> {
  return { kind, command: commandLine(), startedAt: new Date().toISOString(), machine: machineFacts() };
}

/**
 * Makes the folder if need be: before a run, so that hours of measuring do not end with nowhere to put them.
 *
 * @throws Error when nothing can be written there.
 */
export async function makeResultFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`Results cannot be left in ${folder}, give --out another folder: ${why}`, {
      cause: error,
    });
  }
}

/** Resolves with the file's name. */
export async function writeResult(folder: string, name: string, result: ResultHead): Promise<string> {
  const file = join(folder, `${name}.json`);
  await makeResultFolder(folder);
  await writeFile(file, JSON.stringify(result));
  return file;
}
