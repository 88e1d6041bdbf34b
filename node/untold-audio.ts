/**
 * What of the caller's audio the journal does not tell yet: all behind the last word that it tells. Not what came while the
 * agent spoke, as that may hold our own echo, of which a new actor knows nothing. Pure.
 *
 * ```
 *   caller    tell me about ……………          (uh-huh)          and when
 *   agent                         ══ reply ═══════════
 *   told      ──────────────┤
 *   untold                  ├─────┤                  ├──────────…
 * ```
 */
import { NOTHING_UNTOLD, type UntoldAudio } from "#runtime/media";
import type { JournalEvent } from "#actors/journal";

/** What cut our reply was said before the cut was decided. */
const CUT_BY_MS = 800;
/** A recogniser needs the whole of a word: the longest in common use, spoken slowly. */
const LEAD_MS = 400;

/** `epoch`: of the owner who had this leg; instants of others are those of other machines, and of other legs. */
export function untoldAudio(journal: readonly JournalEvent[], epoch: number): UntoldAudio {
  const events = ofThisLeg(journal, epoch);
  const first = events[0];
  if (first === undefined) return NOTHING_UNTOLD;
  const told = events.findLast(isOfCaller);
  const toldMs = told === undefined ? first.atMs : (told.throughAtMs ?? told.atMs);
  const again = events.findLast((event) => isOfAgent(event) && event.atMs > toldMs);
  return {
    fromMs: toldMs - LEAD_MS,
    toldMs,
    untilMs: speaksFrom(events, toldMs),
    againMs: again === undefined ? toldMs : listensFrom(again),
  };
}

/** Since the leg came; an actor that followed another on the same leg changes nothing. */
function ofThisLeg(journal: readonly JournalEvent[], epoch: number): readonly JournalEvent[] {
  const others = journal.findLastIndex((event) => event.epoch !== epoch);
  const came = journal.findLastIndex((event) => event.kind === "callResumed" && event.reason === "legLost");
  return journal.slice(Math.max(others + 1, came, 0));
}

/** When, after this instant or about it, the agent was heard first; infinite: it has not been. */
function speaksFrom(events: readonly JournalEvent[], afterMs: number): number {
  let isSpeaking = false;
  for (const event of events) {
    if (event.kind === "agentProgress" && !isSpeaking) {
      isSpeaking = true;
      if (event.atMs > afterMs) return event.atMs;
    } else if (event.kind === "agentTurn") {
      if (isSpeaking && event.atMs > afterMs) return afterMs;
      isSpeaking = false;
    }
  }
  return isSpeaking ? afterMs : Number.POSITIVE_INFINITY;
}

function listensFrom(event: JournalEvent): number {
  if (event.kind === "agentProgress") return Number.POSITIVE_INFINITY;
  const wasCut = event.kind === "bargeIn" || (event.kind === "agentTurn" && event.cut === "bargeIn");
  return wasCut ? event.atMs - CUT_BY_MS : event.atMs;
}

function isOfCaller(event: JournalEvent) {
  return event.kind === "callerTurn" || event.kind === "callerProgress";
}

function isOfAgent({ kind }: JournalEvent): boolean {
  return kind === "agentProgress" || kind === "agentTurn" || kind === "bargeIn";
}
