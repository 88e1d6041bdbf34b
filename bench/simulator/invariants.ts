/**
 * What must hold of every simulated world, whatever broke in it. Each invariant looks at what a run left behind and says
 * what is wrong; an empty answer is a pass. invariants.test.ts plants a bug for each and sees it caught.
 */
import type { JournalEvent } from "#actors/journal";
import type { Line } from "./line.js";
import { excuseOf, isHold, questionsIn } from "./owed.js";
import type { CallRow } from "./plane.js";
import { recoveredAtMs } from "./script.js";
import { WATCHDOG } from "./sim-node.js";
import type { WorldRecord } from "./world.js";

/** From the decision to the last whole word at the caller's ear: threads that are late, and the network. */
const CUT_WITHIN_MS = 100;
/** A spare is ready, and the main thread is not held up. */
const TAKE_OVER_MS = 50;
/** A shard that was just configured may run for long: until then to run is no sign that it hangs. */
const CONFIGURED_MS = 5_000;
/** The watchdog looks at intervals, and a shard may have beaten just before it hung. */
const SEEN_LATE_MS = 2 * WATCHDOG.lookEveryMs + WATCHDOG.heartbeatMs;
/** Who stays on the line so long after he spoke has left his message. */
const MESSAGE_WITHIN_MS = 2_000;
/** A call that never finds room is asked ten times a second. */
const MOVES_WITHOUT_ROOM_MAX = 4;
const TAKES_SHARDS: ReadonlySet<string> = new Set(["shardDeath", "shardDrain", "hang"]);
const ANSWER_WORD = /^r\d+[a-z]/;

/** The journal of a call, and its caller's side. */
interface CallView {
  readonly row: CallRow;
  readonly line: Line;
}

export type Invariant = (world: WorldRecord) => readonly string[];

function callsOf({ lines, plane }: WorldRecord): readonly CallView[] {
  return lines.flatMap((line): CallView[] => {
    const row = line.callId === null ? undefined : plane.rows.get(line.callId);
    return row === undefined ? [] : [{ row, line }];
  });
}

function agentTurns(events: readonly JournalEvent[]) {
  return events.filter((event) => event.kind === "agentTurn");
}

/** Epochs only grow, one node writes under each, and no event is missing or written twice. */
function oneOwner(world: WorldRecord): readonly string[] {
  const wrong = [...world.plane.faults];
  for (const { row } of callsOf(world)) {
    const nodeOf = new Map<number, string>();
    let epoch = 0;
    for (const [index, event] of row.events.entries()) {
      if (event.sequence !== index)
        wrong.push(`${row.callId}: event ${index} has sequence ${event.sequence}`);
      if (event.epoch < epoch)
        wrong.push(`${row.callId}: ${event.kind} was written under ${event.epoch}, after ${epoch}`);
      epoch = event.epoch;
      if (event.kind !== "callStarted" && event.kind !== "callResumed") continue;
      const owner = nodeOf.get(epoch) ?? event.nodeId;
      if (owner !== event.nodeId)
        wrong.push(`${row.callId}: ${owner} and ${event.nodeId} both own it under ${epoch}`);
      nodeOf.set(epoch, event.nodeId);
    }
  }
  return wrong;
}

/**
 * Every word that an agent's turn claims was heard reached the caller's ear, in that order; and of a turn that was played
 * out, every word did.
 */
function heardEqualsHistory(world: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const { row, line } of callsOf(world)) {
    const heard = line.caller.heard.map(({ word }) => word);
    let at = 0;
    for (const turn of agentTurns(row.events)) {
      const claimed = wordsOf(turn.pii.heard);
      if (turn.cut === null && turn.pii.heard !== turn.pii.intended)
        wrong.push(`${row.callId}: a turn was played out, and only "${turn.pii.heard}" is told of it`);
      for (const word of claimed) {
        const found = heard.indexOf(word, at);
        if (found < 0) {
          wrong.push(`${row.callId}: "${turn.pii.heard}" is told as heard, and "${word}" never was`);
          break;
        }
        // What a new owner says again may have been heard before.
        if (turn.source === "model" && ANSWER_WORD.test(word)) at = found;
      }
    }
  }
  return wrong;
}

/** Once a barge-in is decided, nothing of the reply that it cut reaches the caller. */
function silentAfterBargeIn(world: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const { row, line } of callsOf(world)) {
    const turns = agentTurns(row.events);
    for (const event of row.events) {
      if (event.kind !== "bargeIn") continue;
      const cut = turns.find(({ sequence, cut: how }) => sequence > event.sequence - 3 && how === "bargeIn");
      const answer =
        cut === undefined ? undefined : wordsOf(cut.pii.intended).find((w) => ANSWER_WORD.test(w));
      if (answer === undefined) continue;
      const prefix = answer.slice(0, -1).replace(/[a-z.]*$/, "");
      const late = line.caller.heard.find(
        ({ word, atMs }) =>
          atMs > event.decidedAtMs + CUT_WITHIN_MS + holdsMs(world) &&
          ANSWER_WORD.test(word) &&
          word.replace(/[a-z.]*$/, "") === prefix,
      );
      if (late !== undefined)
        wrong.push(
          `${row.callId}: "${late.word}" was heard ${late.atMs - event.decidedAtMs} ms after its barge-in`,
        );
    }
  }
  return wrong;
}

/** When all is over nothing is held: no slot, leg, call, lease, socket or timer. */
function allReturned({ atRest, atEnd }: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const [index, inUse] of atRest.inUse.entries())
    for (const [what, count] of Object.entries(inUse))
      if (count !== 0) wrong.push(`node-${index} holds ${count} ${what}`);
  if (atRest.leases !== 0) wrong.push(`${atRest.leases} leases are left`);
  if (atEnd.timers !== 0) wrong.push(`${atEnd.timers} timers are left`);
  if (atEnd.connections !== 0) wrong.push(`${atEnd.connections} connections to vendors are left`);
  return wrong;
}

/**
 * Every caller is off the line in the end, and every journal has one end, which is its last event. The control plane's
 * own end is for calls of nodes that were lost.
 */
function everyCallEnds(world: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const line of world.lines)
    if (!line.isOver) wrong.push(`the caller ${line.carrierCallId} is still on the line`);
  for (const { callId, events, state } of world.plane.rows.values()) {
    const ends = events.filter(({ kind }) => kind === "callEnded").length;
    if (ends !== 1 || events.at(-1)?.kind !== "callEnded")
      wrong.push(`${callId} has ${ends} ends; its last event is ${events.at(-1)?.kind}, and it is ${state}`);
  }
  const losesNodes = world.faults.some(({ kind }) => kind === "nodeDeath" || kind === "partition");
  for (const { row } of callsOf(world)) {
    const end = row.events.at(-1);
    if (end?.kind !== "callEnded" || end.outcome.kind !== "nodeLost" || losesNodes) continue;
    wrong.push(`${row.callId} ended with its node, and no node was lost`);
  }
  wrong.push(...endedForCrashes(world));
  for (const error of world.shardErrors)
    wrong.push(`a shard died of what nobody caught: ${error instanceof Error ? error.stack : String(error)}`);
  return wrong;
}

/** A call ends for its crashes with the third of a minute; one that takes its shard along counts as two. */
function endedForCrashes(world: WorldRecord): readonly string[] {
  const { faults, script, witness } = world;
  // Else it may have found no slot to go on in.
  if (script.limits.slotsPerShard < script.calls.length) return [];
  return callsOf(world).flatMap(({ row, line }) => {
    const end = row.events.at(-1);
    if (end?.kind !== "callEnded" || end.outcome.kind !== "actorCrashed") return [];
    if (witness.lostAtMs.has(row.callId)) return []; // nobody goes on from a journal that is not whole
    const crashes = faults.filter((fault) => fault.kind === "crash" && fault.call === line.index).length;
    const hangs = faults.filter((fault) => fault.kind === "hang" && fault.call === line.index).length;
    if (crashes + 2 * hangs > 2) return [];
    return [`${row.callId} was ended for a crash, after ${crashes} of them and ${hangs} hangs`];
  });
}

/** At every prefix: what the journal says is what its owner knew. */
function replayEqualsLive({ witness }: WorldRecord): readonly string[] {
  return witness.mismatches;
}

/** Who asked, and stayed on a line that worked, was answered, once. */
function answeredOnce(world: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const { row, line } of callsOf(world)) {
    const resumes = row.events.filter(({ kind }) => kind === "callResumed").length;
    for (const question of line.caller.questions) {
      const name = `q${question.number}`;
      const whole = agentTurns(row.events).filter(
        ({ source, cut, pii }) =>
          source === "model" && cut === null && questionsIn(pii.intended).includes(name),
      );
      if (whole.length > 1 + resumes)
        wrong.push(`${row.callId}: ${name} was answered ${whole.length} times, to the end`);
      if (wasAnswered(line, question.endedAtMs, name)) continue;
      if (excuseOf(world, line, row, question) === null)
        wrong.push(`${row.callId}: ${name} was asked at ${question.endedAtMs} and never answered`);
    }
  }
  return wrong;
}

/** How often who was not answered had no answer to expect, by what excuses it. */
export function excusesOf(world: WorldRecord): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { row, line } of callsOf(world)) {
    for (const question of line.caller.questions) {
      if (wasAnswered(line, question.endedAtMs, `q${question.number}`)) continue;
      const excuse = excuseOf(world, line, row, question);
      if (excuse !== null) counts[`excused: ${excuse}`] = (counts[`excused: ${excuse}`] ?? 0) + 1;
    }
  }
  return counts;
}

/**
 * Whatever vendor goes on where another failed: of an answer no word is heard twice, and of a question none is written
 * down twice. Of a call that went on elsewhere what was heard of it may not be known.
 */
function noWordTwice(world: WorldRecord): readonly string[] {
  const wrong: string[] = [];
  for (const { row, line } of callsOf(world)) {
    if (row.events.some(({ kind }) => kind === "callResumed")) continue;
    const heardAnswers = line.caller.heard.map((heard) => heard.word).filter(isAnswerWord);
    for (const word of mayRepeatClause(world, line) ? [] : repeated(heardAnswers))
      wrong.push(`${row.callId}: "${word}" was heard twice`);
    const said = row.events.flatMap((event) => (event.kind === "callerTurn" ? wordsOf(event.pii.said) : []));
    for (const word of repeated(said.filter((candidate) => /^q\d+/.test(candidate))))
      wrong.push(`${row.callId}: "${word}" was said once and written down twice`);
  }
  return wrong;
}

/**
 * A voice by HTTP says nothing of its words before a clause is whole: of one that breaks off in it nobody knows which words
 * were spoken, and the clause is said again.
 */
function mayRepeatClause({ script, faults }: WorldRecord, { index }: Line): boolean {
  const { fallbacks, vendors, outage } = script;
  if (fallbacks !== "servers" && fallbacks !== "own") return false;
  const breaks = vendors.some(
    (entry) =>
      entry.vendor === "tts" &&
      entry.call === index &&
      (entry.fault.kind === "reset" || entry.fault.kind === "noDone"),
  );
  const isBroken = faults.some((fault) => fault.kind === "vendorsBreak" && (fault.vendor ?? "tts") === "tts");
  return breaks || isBroken || outage?.vendor === "tts";
}

/** Where a spare stands by, the calls of the one shard that dies go on at once; of one that hangs, when it is ended. */
function takenOver(world: WorldRecord): readonly string[] {
  return [...movedOnce(world), ...takenOverSoon(world)];
}

/**
 * Of a shard that is drained each call moves once, if there is room elsewhere. The room that was there when it was asked to
 * may be gone when it comes to a pause: the shard that had it lost, or its slots taken. Then it moves a few times more.
 */
function movedOnce(world: WorldRecord): readonly string[] {
  const {
    faults,
    script: { limits, calls },
  } = world;
  const drains = faults.filter(({ kind }) => kind === "shardDrain").length;
  const losesRoom =
    limits.slotsPerShard < calls.length ||
    faults.some(({ kind }) => kind !== "shardDrain" && TAKES_SHARDS.has(kind));
  const movesMax = drains * (losesRoom ? MOVES_WITHOUT_ROOM_MAX : 1);
  return callsOf(world).flatMap(({ row }) => {
    const moves = row.events.filter(
      (event) => event.kind === "callResumed" && event.reason === "moved",
    ).length;
    return moves > movesMax ? [`${row.callId} was moved ${moves} times for ${drains} drains`] : [];
  });
}

function takenOverSoon(world: WorldRecord): readonly string[] {
  const {
    faults,
    script: { hasSpare, limits, vendors },
  } = world;
  const mayWait =
    limits.slotsPerShard < world.script.calls.length ||
    faults.filter(({ kind }) => TAKES_SHARDS.has(kind)).length > 1 ||
    faults.some(({ kind }) => kind === "nodeHold" || kind === "shardHold") ||
    vendors.some(({ vendor }) => vendor === "stt"); // the spare may wait for its own
  if (!hasSpare || mayWait) return [];
  const wrong: string[] = [];
  for (const { row } of callsOf(world)) {
    for (const event of row.events) {
      if (event.kind !== "callResumed" || event.reason !== "shardLost") continue;
      const hang = faults.find(({ kind }) => kind === "hang");
      const seenWithinMs =
        hang?.kind !== "hang"
          ? 0
          : hang.isSpinning && hang.atMs >= CONFIGURED_MS
            ? WATCHDOG.spinningAfterMs
            : WATCHDOG.hungAfterMs;
      if (event.gapMs > seenWithinMs + (seenWithinMs > 0 ? SEEN_LATE_MS : 0) + TAKE_OVER_MS)
        wrong.push(`${row.callId}: its shard died, and it went on ${event.gapMs} ms later`);
    }
  }
  return wrong;
}

/**
 * Who was asked for a message and left one, left it: it stands in the journal, or in a file that the journal names. Not
 * where a disk would not take it, which he is told.
 */
function messageKept(world: WorldRecord): readonly string[] {
  const {
    faults,
    script: { limits },
  } = world;
  if (limits.requestsMax <= 4 || faults.some(({ kind }) => kind !== "crash")) return [];
  const wrong: string[] = [];
  for (const { row, line } of callsOf(world)) {
    const { message } = line.caller;
    const disks = world.nodes.map(({ disk }) => disk);
    if (message === null || line.hasCarrierFaults || world.witness.lostAtMs.has(row.callId)) continue;
    if (line.endedAtMs < message.endedAtMs + MESSAGE_WITHIN_MS) continue;
    const kept = row.events.flatMap((event) => {
      if (event.kind !== "messageTaken") return [];
      const { audioFile, pii } = event;
      const heard = audioFile === null ? [] : disks.flatMap((disk) => disk.wordsIn(audioFile) ?? []);
      return [...wordsOf(pii.transcript), ...heard];
    });
    if (kept.includes(message.word) || disks.some((disk) => disk.hasRefused(row.callId))) continue;
    wrong.push(`${row.callId}: the message "${message.word}" was left, and is nowhere`);
  }
  return wrong;
}

/**
 * When vendors that were gone have been back for a while, callers who come then notice nothing any more: breakers have let
 * somebody try, and what they say is heard, answered and spoken. Where another vendor stands behind the one that is gone,
 * nobody is ever turned away.
 */
function outagePasses(world: WorldRecord): readonly string[] {
  const {
    faults,
    script: { outage, vendors, limits },
  } = world;
  if (outage === null || vendors.length > 0 || faults.length > 0 || limits.requestsMax <= 4) return [];
  const afterMs = world.startedAtMs + recoveredAtMs(outage);
  return callsOf(world).flatMap(({ row }) => {
    const lost = row.events.find((event) => event.kind === "providerFailed" && event.fallback === null);
    if (outage.whose === "first" && lost?.kind === "providerFailed")
      return [`${row.callId} was given up for ${lost.provider}: ${lost.code}, with another vendor behind it`];
    const began = row.events[0];
    if (began === undefined || began.atMs < afterMs) return [];
    const failed = row.events.find((event) => event.kind === "providerFailed");
    return failed?.kind === "providerFailed"
      ? [`${row.callId} began when all vendors were back, and ${failed.provider} failed it: ${failed.code}`]
      : [];
  });
}

function isAnswerWord(word: string): boolean {
  return ANSWER_WORD.test(word);
}

function repeated(words: readonly string[]): readonly string[] {
  return words.filter((word, index) => words.indexOf(word) < index);
}

function wasAnswered(line: Line, askedAtMs: number, name: string): boolean {
  return line.caller.heard.some(
    ({ word, atMs }) => atMs > askedAtMs - 1_000 && questionsIn(word).includes(name),
  );
}

/** What threads that stood still may add to any delay. */
function holdsMs({ faults }: WorldRecord): number {
  return faults.reduce((sum, fault) => ("ms" in fault && isHold(fault) ? sum + fault.ms : sum), 0);
}

function wordsOf(text: string): readonly string[] {
  return text.split(/\s+/).filter(Boolean);
}

export const INVARIANTS = {
  "one owner per call": oneOwner,
  "heard equals history": heardEqualsHistory,
  "no agent audio after a barge-in": silentAfterBargeIn,
  "everything is returned": allReturned,
  "every call ends with an outcome": everyCallEnds,
  "replay equals live": replayEqualsLive,
  "no answer is dropped or given twice": answeredOnce,
  "no word twice": noWordTwice,
  "a lost shard's calls go on": takenOver,
  "a message is kept": messageKept,
  "an outage passes": outagePasses,
} as const satisfies Readonly<Record<string, Invariant>>;

export interface Violation {
  readonly invariant: keyof typeof INVARIANTS;
  readonly what: string;
}

export function violationsOf(world: WorldRecord): readonly Violation[] {
  return Object.entries(INVARIANTS).flatMap(([invariant, check]) =>
    check(world).map((what) => ({ invariant: invariant as Violation["invariant"], what })),
  );
}
