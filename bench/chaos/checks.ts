/** What must hold after a scenario; each check says in words what did not, naming the caller. */
import type { JournalEvent } from "#actors/journal";
import type { Checks } from "./scenario-schema.js";
import { type Caller, type Workload, heardAll, spelled } from "./workload.js";

/** From the end of a sentence to the first sound of its reply; null when there was none. */
export interface DelaysMs {
  readonly p50: number | null;
  readonly p95: number | null;
  readonly max: number | null;
}

export interface Evidence {
  readonly workload: Workload;
  /** By the caller's index. */
  readonly journals: ReadonlyMap<number, readonly JournalEvent[]>;
  /** Streams that each call had. */
  readonly streams: ReadonlyMap<number, number>;
  /** Growth of each sample of the first node's /metrics. */
  readonly metrics: ReadonlyMap<string, number>;
  readonly delayMs: DelaysMs;
  /** Why callers were refused, by all nodes that still run: how many for each reason. */
  readonly refusals: ReadonlyMap<string, number>;
  /** What placement and store have too much of, in words. */
  readonly leftovers: readonly string[];
}

/** What did not hold; empty when all did. */
export function failuresOf(checks: Checks, evidence: Evidence): readonly string[] {
  return [
    ...evidence.workload.failures,
    ...evidence.leftovers,
    ...refusedFailures(checks, evidence),
    ...strangeFailures(evidence.workload.callers),
    ...heardFailures(checks, evidence.workload),
    ...outcomeFailures(checks, evidence),
    ...apologyFailures(checks, evidence.workload.callers),
    ...(checks.journalsWhole ? journalFailures(evidence) : []),
    ...resumedFailures(checks, evidence),
    ...streamFailures(checks, evidence),
    ...eventFailures(checks, evidence),
    ...metricFailures(checks, evidence),
    ...delayFailures(checks, evidence),
  ];
}

function refusedFailures(
  { refused: wanted }: Checks,
  { workload: { refused }, refusals }: Evidence,
): string[] {
  if (refused === wanted) return [];
  const why = [...refusals].map(([reason, count]) => `${reason} ${count}`).join(", ");
  return [`${refused} callers were refused, ${wanted} should be; by the nodes: ${why || "none"}`];
}

/**
 * Never forgiven, whatever share of the sentences may be lost: another caller's words. None comes of damage, for what
 * a lost frame does to a spelling word is no other.
 */
function strangeFailures(callers: readonly Caller[]): string[] {
  return callers.flatMap(({ index, turns }) => {
    const own = new Set<string>();
    return turns.flatMap(({ words, heard }, turn) => {
      for (const word of words) own.add(word); // a late answer is the one before
      const strange = spelled(heard).filter((word) => !own.has(word));
      return strange.length === 0
        ? []
        : [`caller ${index}, turn ${turn}: never asked for “${strange.join(" ")}”`];
    });
  });
}

function heardFailures({ heard, heardShareMin }: Checks, workload: Workload): string[] {
  if (heard === undefined && heardShareMin === undefined) return [];
  const { callers } = workload;
  const asked = workload.turnsInAll + workload.furtherTurns;
  const wrong: string[] = [];
  let right = 0;
  for (const { index, turns } of callers) {
    for (const [turn, { words, heard: all }] of turns.entries()) {
      const own = spelled(all);
      const isRight =
        heard === "atLeastOnce" || heard === undefined
          ? heardAll(own, words) && own.every((word) => words.includes(word))
          : own.join(" ") === words.join(" ");
      if (isRight) right += 1;
      else wrong.push(`caller ${index}, turn ${turn}: asked “${words.join(" ")}”, heard “${all.join(" ")}”`);
    }
  }
  const least = (heardShareMin ?? 1) * asked;
  if (right >= least) return [];
  return [`${right} of ${asked} sentences came back right, at least ${least} should`, ...wrong];
}

function outcomeFailures({ outcomes }: Checks, { journals }: Evidence): string[] {
  if (outcomes === undefined) return [];
  const wanted: Readonly<Record<string, number | "rest" | undefined>> = outcomes;
  const counts = new Map<string, number>();
  for (const journal of journals.values()) {
    const last = journal.at(-1);
    const kind = last?.kind === "callEnded" ? last.outcome.kind : "none";
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const kinds = new Set([...counts.keys(), ...Object.keys(wanted)]);
  return [...kinds]
    .filter((kind) => wanted[kind] !== "rest" && (counts.get(kind) ?? 0) !== (wanted[kind] ?? 0))
    .map((kind) => `${counts.get(kind) ?? 0} calls ended with ${kind}, ${wanted[kind] ?? 0} should`);
}

function apologyFailures({ apology }: Checks, callers: readonly Caller[]): string[] {
  if (apology === undefined) return [];
  const pattern = new RegExp(apology.says, "i");
  const count = callers.filter(({ call }) => pattern.test(call.heardText())).length;
  return count >= apology.callers
    ? []
    : [`${count} callers heard /${apology.says}/, ${apology.callers} should`];
}

function journalFailures({ journals }: Evidence): string[] {
  const wrong: string[] = [];
  for (const [index, journal] of journals) {
    const isInOrder = journal.every(({ sequence }, at) => sequence === at);
    const epochs = journal.map(({ epoch }) => epoch);
    const isOneOwner = epochs.every((epoch, at) => at === 0 || epoch >= epochs[at - 1]!);
    const ends = journal.filter(({ kind }) => kind === "callEnded").length;
    if (!isInOrder) wrong.push(`caller ${index}: events are missing or twice in the journal`);
    if (!isOneOwner) wrong.push(`caller ${index}: an old owner wrote after a new one`);
    if (journal[0]?.kind !== "callStarted") wrong.push(`caller ${index}: the journal has no beginning`);
    if (ends !== 1) wrong.push(`caller ${index}: the journal has ${ends} ends`);
  }
  return wrong;
}

/** How often another owner went on with each call. */
export function resumesOf(journals: Evidence["journals"]): number {
  return [...journals.values()].filter((journal) => journal.some(({ kind }) => kind === "callResumed"))
    .length;
}

function resumedFailures({ resumed }: Checks, { journals }: Evidence): string[] {
  if (resumed === undefined) return [];
  const count = resumesOf(journals);
  const { callsMin, callsMax = Number.POSITIVE_INFINITY } = resumed;
  return count >= callsMin && count <= callsMax
    ? []
    : [`${count} calls were gone on with by another owner, ${callsMin} to ${callsMax} should`];
}

function streamFailures({ streams: wanted }: Checks, { streams }: Evidence): string[] {
  if (wanted === undefined) return [];
  return [...streams]
    .filter(([, count]) => count !== wanted)
    .map(([index, count]) => `caller ${index} had ${count} media streams, ${wanted} should be`);
}

function eventFailures({ journal: wanted = {} }: Checks, { journals }: Evidence): string[] {
  const all = [...journals.values()].flat();
  return Object.entries(wanted).flatMap(([kind, least]) => {
    const count = all.filter((event) => event.kind === kind).length;
    return count >= least ? [] : [`the journals have ${count} events ${kind}, at least ${least} should be`];
  });
}

function metricFailures({ metrics: wanted = {} }: Checks, { metrics }: Evidence): string[] {
  return Object.entries(wanted).flatMap(([sample, { min = -Infinity, max = Infinity }]) => {
    const name = sample.split("{", 1)[0]!;
    // A label's first count makes its sample; a name that nobody has would keep below any bound.
    if (![...metrics.keys()].some((known) => known.split("{", 1)[0] === name))
      return [`there is no ${name} on the first node's /metrics`];
    const grown = metrics.get(sample) ?? 0;
    return grown >= min && grown <= max ? [] : [`${sample} grew by ${grown}, it should by ${min} to ${max}`];
  });
}

function delayFailures({ delayMs: wanted = {} }: Checks, { delayMs }: Evidence): string[] {
  return (["p50", "p95", "max"] as const).flatMap((name) => {
    const { min = -Infinity, max = Infinity } = wanted[name] ?? {};
    const took = delayMs[name];
    if (wanted[name] === undefined || (took !== null && took >= min && took <= max)) return [];
    return [`${name} of the delays is ${took ?? "none"} ms, it should be ${min} to ${max}`];
  });
}
