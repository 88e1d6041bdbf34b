/**
 * Who asked and was not answered: whether an answer was owed, and if it was not, what excuses it. Each excuse is a bound of the
 * design or the caller's own doing, as narrow as the run can tell, and runs count how often each was taken.
 *
 * O1 what a journal tells as asked is never lost: no excuse of audio that was lost holds for it.
 */
import type { JournalEvent } from "#actors/journal";
import type { Question } from "./caller.js";
import type { Line } from "./line.js";
import type { CallRow } from "./plane.js";
import type { WorldFault } from "./script.js";
import type { WorldRecord } from "./world.js";

export type Excuse =
  /** He hung up, or was gone, before an answer was due. */
  | "leftEarly"
  /** The line was not there, or broke while he spoke or soon after. */
  | "lineBroke"
  /** A kind of vendor was gone with nobody behind it: he was told so, and asked for a message. */
  | "vendorsGone"
  /** The call was over, for whatever reason that has an invariant of its own, before an answer was due. */
  | "callOver"
  /** A burst, or a thread that stood still, as he spoke, over a ring made too small for it. */
  | "smallRing"
  /** An event was lost, by an injected crash of the journal or a main thread too far behind, and whoever went on did not know. */
  | "journalLost"
  /** His owner was lost before it told what he asked, and his words had left the in-ring by the time another took over. */
  | "leftTheRing"
  /** The same, and his words were lost with the node that had them. */
  | "lostWithNode"
  /** The same, and they were lost with the leg: what his owner hears ends with it. */
  | "lostWithLeg"
  /** He spoke again as the answer began, and interrupted it before it named what he had asked. */
  | "spokeOver"
  /** His call was cut off and brought back, and it was his goodbye that was answered: he did not wait. */
  | "tookLeave";

/** An answer is owed to who stays on the line this long after he asked. */
const ANSWER_WITHIN_MS = 6_000;
/** The same where a vendor, a thread or a limit is in the way: its deadlines and the retry come on top. */
const ANSWER_WITHIN_DEADLINES_MS = 14_000;
/** The line must stay for so long after the question: words on their way, and the turn's end. */
const HEARD_WITHIN_MS = 2_000;
/** A recogniser that says nothing is given up after so long, and the next is told all again: after that it is told. */
const TOLD_WITHIN_MS = 6_000;
/** The same of a recogniser by HTTP: it is given longer for an utterance, which begins when the utterance is over. */
const TOLD_BY_HTTP_WITHIN_MS = 10_000;
/** Who is cut off says goodbye into the silence, or as soon as somebody is there again. */
const GAP_NOTICED_MS = 3_000;

/** Null: an answer was owed. */
export function excuseOf(world: WorldRecord, line: Line, row: CallRow, question: Question): Excuse | null {
  const { beganAtMs, endedAtMs } = question;
  const askedByMs = spokeOnUntilMs(line, row, question);
  const withinMs = isDisturbed(world, line, row, question) ? ANSWER_WITHIN_DEADLINES_MS : ANSWER_WITHIN_MS;
  const dueAtMs = askedByMs + withinMs;
  if (line.endedAtMs < dueAtMs) return "leftEarly";
  const spell = line.spells.find(({ fromMs, toMs }) => fromMs <= beganAtMs && beganAtMs <= toMs);
  if (spell === undefined || spell.toMs < endedAtMs + HEARD_WITHIN_MS) return "lineBroke";
  const before = row.events.filter(({ atMs }) => atMs < dueAtMs);
  if (before.some((event) => event.kind === "providerFailed" && event.fallback === null))
    return "vendorsGone";
  if (before.some(({ kind }) => kind === "callEnded")) return "callOver";
  if (losesAudio(world, line, question)) return "smallRing";
  if ((world.witness.lostAtMs.get(row.callId) ?? []).some((atMs) => atMs >= beganAtMs && atMs < dueAtMs))
    return "journalLost";
  if (leftTheRing(world, row, question)) return "leftTheRing";
  if (lostWithNode(world, row, question)) return "lostWithNode";
  if (lostWithLeg(world, row, question)) return "lostWithLeg";
  if (spokeOver(line, row, question)) return "spokeOver";
  return tookLeave(line, row, question) ? "tookLeave" : null;
}

/**
 * A recogniser that is late tells a question in one turn with what he asked after it: the answer is to all of it, and due
 * when he has said the last of it.
 */
function spokeOnUntilMs({ caller }: Line, row: CallRow, { number, endedAtMs }: Question): number {
  const turn = row.events.find(
    (event) => event.kind === "callerTurn" && questionsIn(event.pii.said).includes(`q${number}`),
  );
  if (turn?.kind !== "callerTurn") return endedAtMs;
  const told = questionsIn(turn.pii.said);
  const later = caller.questions.filter((other) => told.includes(`q${other.number}`));
  return Math.max(endedAtMs, ...later.map((other) => other.endedAtMs));
}

/** A vendor's fault that may be this call's, a limit, or a fault of the world's between the question and its answer. */
function isDisturbed(
  { script, faults, startedAtMs }: WorldRecord,
  line: Line,
  row: CallRow,
  { beganAtMs, endedAtMs }: Question,
): boolean {
  const { vendors, limits, outage } = script;
  const isOfCall = vendors.some((entry) => entry.vendor === "stt" || entry.call === line.index);
  const strikes = (fault: WorldFault): boolean => {
    const atMs = startedAtMs + fault.atMs;
    const lastsMs = "ms" in fault ? fault.ms : 0;
    return atMs <= endedAtMs + ANSWER_WITHIN_MS && atMs + lastsMs >= beganAtMs;
  };
  const wentOn = row.events.some(
    ({ kind, atMs }) => kind === "callResumed" && atMs >= beganAtMs && atMs < endedAtMs + ANSWER_WITHIN_MS,
  );
  const isTight = limits.requestsMax <= 4 || outage !== null || line.hasStalled;
  return isOfCall || isTight || wentOn || faults.some(strikes);
}

/** Words are lost, and counted as such, of a ring that holds less than the shortest that is shipped. */
function losesAudio(
  { script, faults, startedAtMs }: WorldRecord,
  line: Line,
  { beganAtMs, endedAtMs }: Question,
): boolean {
  if (script.limits.inRecordCount >= 128) return false;
  if (line.hasStalled) return true;
  return faults.some((fault) => {
    if (!isHold(fault) || !("ms" in fault)) return false;
    const atMs = startedAtMs + fault.atMs;
    return atMs <= endedAtMs && atMs + fault.ms >= beganAtMs;
  });
}

/** What he asked was read off the ring itself, as it was when another took over: it was not whole in it any more. */
function leftTheRing({ takeOvers }: WorldRecord, row: CallRow, question: Question): boolean {
  const { number, namedAtMs, endedAtMs } = question;
  return takeOvers.some(
    ({ callId, atMs, oldestAtMs, words }) =>
      callId === row.callId &&
      atMs > namedAtMs &&
      atMs < endedAtMs + TOLD_WITHIN_MS &&
      namedAtMs < oldestAtMs &&
      !words.some((word) => questionsIn(word).includes(`q${number}`)) &&
      !isTold(row, number, atMs),
  );
}

/** Not told when it died, by a recogniser that was late or deaf. */
function lostWithNode({ faults, startedAtMs }: WorldRecord, row: CallRow, question: Question): boolean {
  const { number, namedAtMs, endedAtMs } = question;
  return row.events.some((event) => {
    if (event.kind !== "callResumed" || event.reason !== "legLost") return false;
    if (event.atMs < namedAtMs || isTold(row, number, event.atMs)) return false;
    return faults.some(({ kind, atMs }) => {
      const diedAtMs = startedAtMs + atMs;
      const isBetween = diedAtMs > namedAtMs && diedAtMs < endedAtMs + TOLD_WITHIN_MS;
      return kind === "nodeDeath" && isBetween && diedAtMs < event.atMs;
    });
  });
}

function lostWithLeg({ script }: WorldRecord, row: CallRow, question: Question): boolean {
  const { number, namedAtMs, endedAtMs } = question;
  const isByHttp = script.fallbacks === "servers" || script.fallbacks === "own";
  const withinMs = isByHttp ? TOLD_BY_HTTP_WITHIN_MS : TOLD_WITHIN_MS;
  const isDeaf = script.vendors.some(({ vendor }) => vendor === "stt") || script.outage?.vendor === "stt";
  if (!isDeaf || isTold(row, number, Number.POSITIVE_INFINITY)) return false;
  return row.events.some(
    ({ kind, atMs }) => kind === "legLost" && atMs > namedAtMs && atMs < endedAtMs + withinMs,
  );
}

/** With words of his own: what he had asked is over, so that nothing of it can have cut the answer. */
function spokeOver({ caller }: Line, row: CallRow, { number, endedAtMs }: Question): boolean {
  return row.events.some((event) => {
    if (event.kind !== "agentTurn" || event.cut !== "bargeIn") return false;
    if (!questionsIn(event.pii.intended).includes(`q${number}`)) return false;
    return caller.spokeAtMs.some((atMs) => atMs > endedAtMs && atMs < event.atMs);
  });
}

function tookLeave({ caller }: Line, row: CallRow, { number, endedAtMs }: Question): boolean {
  const { leftAtMs } = caller;
  if (leftAtMs === null || !isTold(row, number, Number.POSITIVE_INFINITY)) return false;
  const resumed = row.events.find(
    ({ kind, atMs }) => kind === "callResumed" && atMs > endedAtMs && atMs < leftAtMs + GAP_NOTICED_MS,
  );
  if (resumed === undefined) return false;
  return row.events.some(
    (event) => event.kind === "callerTurn" && event.atMs > leftAtMs && event.pii.said.includes("Goodbye"),
  );
}

/** O1. By this instant. */
function isTold({ events }: CallRow, number: number, byMs: number): boolean {
  return events.some(
    (event) => isOfCaller(event) && event.atMs <= byMs && questionsIn(event.pii.said).includes(`q${number}`),
  );
}

function isOfCaller(event: JournalEvent) {
  return event.kind === "callerTurn" || event.kind === "callerProgress";
}

export function isHold({ kind }: WorldFault): boolean {
  return kind === "shardHold" || kind === "nodeHold" || kind === "hang";
}

export function questionsIn(text: string): readonly string[] {
  return text.match(/q\d+/g) ?? [];
}
