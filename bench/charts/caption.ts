/** Where what is drawn was taken: machine, commit, instant and command, of one run or of several. Pure. */
import { type ResultHead, describeMachine } from "#bench/report";

const COMMANDS_MAX = 3;

export function captionOf(heads: readonly ResultHead[]): readonly string[] {
  const machines = distinct(heads.map(({ machine }) => describeMachine(machine)));
  const days = distinct(heads.map(({ startedAt }) => startedAt.slice(0, 16).replace("T", " "))).sort();
  const when = days.length === 1 ? `${days[0]} UTC` : `${days[0]} to ${days.at(-1)} UTC`;
  const commands = mergedCommands(heads.map(({ command }) => command ?? "command not recorded"));
  const more = commands.length - COMMANDS_MAX;
  return [
    ...machines,
    when,
    ...commands.slice(0, COMMANDS_MAX),
    ...(more > 0 ? [`and ${more} further commands`] : []),
  ];
}

/** Commands that differ in one word alone are one line: `--calls 100|200`. */
export function mergedCommands(commands: readonly string[]): readonly string[] {
  const groups: string[][][] = [];
  for (const command of distinct(commands)) {
    const words = command.split(" ");
    const group = groups.find((known) => differsInOne([...known, words]));
    if (group === undefined) groups.push([words]);
    else group.push(words);
  }
  return groups.map((group) =>
    group[0]!.map((_, at) => distinct(group.map((words) => words[at]!)).join("|")).join(" "),
  );
}

function differsInOne(group: readonly (readonly string[])[]): boolean {
  const length = group[0]!.length;
  if (group.some((words) => words.length !== length)) return false;
  let differing = 0;
  for (let at = 0; at < length; at += 1) {
    if (distinct(group.map((words) => words[at]!)).length > 1) differing += 1;
  }
  return differing <= 1;
}

function distinct<Value>(values: readonly Value[]): Value[] {
  return [...new Set(values)];
}
