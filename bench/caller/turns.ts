/**
 * Puts a call together from both ends: what the phone said and heard, and what the node's journal says about
 * the same turn. All instants are of one clock (CLOCK_MONOTONIC), so they may be compared.
 */
import type { JournalEvent, TurnLedger } from "#actors/journal";
import type { PhoneCallResult } from "./phone-types.js";

/** Milliseconds after the caller's last speech sample reached the node's edge; null when it did not happen. */
export interface TurnStages {
  readonly sttInterimMs: number | null;
  readonly sttFinalMs: number | null;
  readonly committedMs: number | null;
  /** Negative when the model was started before the caller had finished. */
  readonly llmStartMs: number | null;
  readonly llmFirstTokenMs: number | null;
  readonly ttsFirstAudioMs: number | null;
  readonly firstByteSentMs: number | null;
  /** Whether the reply was begun before the turn was confirmed. */
  readonly eager: boolean;
}

export interface Turn {
  /** Null for what the agent says of its own accord, such as the greeting. */
  readonly said: string | null;
  /** The agent's words that were played until the caller spoke again. */
  readonly heard: string;
  /** Last speech sample due on the line to the first agent sample played. */
  readonly voiceToVoiceMs: number | null;
  /** Whether a clear cut the agent off. */
  readonly cut: boolean;
  /** From the node's journal; null when it has no ledger for the turn. */
  readonly stages: TurnStages | null;
}

/** A word's instant may lie a decoder window before its spurt's. */
const WORD_SLACK_MS = 40;

export function turnsOf(result: PhoneCallResult, journal: readonly JournalEvent[]): readonly Turn[] {
  const { said, spurts, heard } = result;
  // A stretch of agent speech answers the last thing said before it began; -1 is the greeting.
  const answersOf = (atMs: number): number => {
    let answered = -1;
    for (const [index, utterance] of said.entries()) if (utterance.endedAtMs <= atMs) answered = index;
    return answered;
  };
  const words = new Map<number, string[]>();
  const spurtTurns = spurts.map((spurt) => answersOf(spurt.startedAtMs));
  for (const word of heard) {
    let spurtIndex = -1;
    for (const [index, spurt] of spurts.entries()) {
      if (spurt.startedAtMs <= word.playedAtMs + WORD_SLACK_MS) spurtIndex = index;
    }
    const turn = spurtTurns[spurtIndex] ?? -1;
    words.set(turn, [...(words.get(turn) ?? []), word.word]);
  }
  const turns: Turn[] = [];
  for (let index = -1; index < said.length; index++) {
    const utterance = said[index];
    const replies = spurts.filter((_, spurtIndex) => spurtTurns[spurtIndex] === index);
    const first = replies[0];
    if (utterance === undefined && first === undefined) continue;
    turns.push({
      said: utterance?.text ?? null,
      heard: (words.get(index) ?? []).join(" "),
      voiceToVoiceMs:
        utterance === undefined || first === undefined
          ? null
          : round(first.startedAtMs - utterance.intendedEndAtMs),
      cut: replies.some((spurt) => spurt.cut),
      stages:
        utterance === undefined
          ? null
          : stagesOf(
              journal,
              utterance.startedAtMs,
              said[index + 1]?.startedAtMs ?? Number.POSITIVE_INFINITY,
            ),
    });
  }
  return turns;
}

/** The ledger of the first reply to speech that ended in this range; null when there is none. */
function turnLedger(
  journal: readonly JournalEvent[],
  fromMs: number,
  toMs: number,
): (TurnLedger & { readonly speechEndAtMs: number }) | null {
  for (const event of journal) {
    if (event.kind !== "agentTurn") continue;
    const speechEndAtMs = event.ledger.speechEndAtMs;
    if (speechEndAtMs !== null && speechEndAtMs >= fromMs && speechEndAtMs < toMs) {
      return { ...event.ledger, speechEndAtMs };
    }
  }
  return null;
}

function stagesOf(journal: readonly JournalEvent[], fromMs: number, toMs: number): TurnStages | null {
  const ledger = turnLedger(journal, fromMs, toMs);
  return ledger === null ? null : relativeTo(ledger.speechEndAtMs, ledger);
}

function relativeTo(speechEndAtMs: number, ledger: TurnLedger): TurnStages {
  const after = (atMs: number | null): number | null => (atMs === null ? null : round(atMs - speechEndAtMs));
  return {
    sttInterimMs: after(ledger.sttInterimAtMs),
    sttFinalMs: after(ledger.sttFinalAtMs),
    committedMs: after(ledger.committedAtMs),
    llmStartMs: after(ledger.llmStartAtMs),
    llmFirstTokenMs: after(ledger.llmFirstTokenAtMs),
    ttsFirstAudioMs: after(ledger.ttsFirstAudioAtMs),
    firstByteSentMs: after(ledger.firstByteSentAtMs),
    eager: ledger.eagerStartAtMs !== null,
  };
}

/** Tenths are enough for people and smaller than any jitter. */
function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
