/** What a command prints: text for people, one JSON document for programs. */
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
  const line = (text: string): void => void stdout.write(`${text}\n`);
  return {
    say: (text) => {
      if (!asJson) line(text);
    },
    result: (json, people) => line(asJson ? JSON.stringify(json, null, 2) : people()),
    item: (json, people) => line(asJson ? JSON.stringify(json) : people()),
    problem: (text) => void stderr.write(`${pc.red("lumentra:")} ${text}\n`),
    isTerminal: stdout.isTTY && !asJson,
  };
}
