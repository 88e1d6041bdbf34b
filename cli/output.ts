/**
 * What a command prints: text for people, one JSON document for programs. O1: what callers, tenants and providers say may
 * hold anything, and none of it is obeyed by the terminal: control characters are shown.
 */
import pc from "picocolors";

export interface Output {
  /** One line for people; nothing with --json. */
  say(line: string): void;
  /** The result: `json` with --json, else what `people` makes of it. */
  result(json: unknown, people: () => string): void;
  /** One of many results that come as they happen: a line of JSON each, or of text. */
  item(json: unknown, people: () => string): void;
  /** Problems, always, on standard error. */
  problem(line: string): void;
  readonly isTerminal: boolean;
}

export function createOutput(
  asJson: boolean,
  stdout: NodeJS.WriteStream = process.stdout,
  stderr: NodeJS.WriteStream = process.stderr,
): Output {
  const line = (text: string): void => void stdout.write(`${printable(text)}\n`);
  return {
    say: (text) => {
      if (!asJson) line(text);
    },
    result: (json, people) => line(asJson ? escaped(JSON.stringify(json, null, 2)) : people()),
    item: (json, people) => line(asJson ? escaped(JSON.stringify(json)) : people()),
    problem: (text) => void stderr.write(`${pc.red("lumentra:")} ${printable(text)}\n`),
    isTerminal: stdout.isTTY && !asJson,
  };
}

const ESCAPE = "\u001b";
/** A control character, and what makes an escape a colour. */
const CONTROL = /(\p{Cc})(\[[\d;]*m)?/gu;

/** O1. As `␛`, those that have no picture as `�`; lines, tabs and colours, which are ours, are left as they are. */
export function printable(text: string): string {
  return text.replace(CONTROL, (found, control: string, color = "") => {
    if (control === "\n" || control === "\t" || (control === ESCAPE && color !== "")) return found;
    const code = control.charCodeAt(0);
    const picture = code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "␡" : "�";
    return picture + color;
  });
}

/** O1. Of the control characters JSON leaves DEL and those after it as they are; the lines are its own. */
function escaped(json: string): string {
  return json.replace(/\p{Cc}/gu, (found) =>
    found === "\n" ? found : `\\u00${found.charCodeAt(0).toString(16)}`,
  );
}
