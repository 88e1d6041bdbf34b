/**
 * Joins turns with the emulators' log of them, a batch at a time: what the node added to each, and where.
 *
 * T1 turns wait here for the next fetch and no longer; entries are kept for as long as a turn may still need them.
 */
import type { LogEntry } from "#bench/emulators";
import type { EmulatorProcess } from "#bench/processes";
import { DelayJoiner, type TurnDelays } from "./delays.js";
import { Distribution } from "./distribution.js";
import { type Figure, Sliced } from "./figures.js";
import type { TurnRecord } from "./records.js";
import type { Percentiles } from "./results.js";

/** A turn's first entry is at most so much older than its end. */
const TURN_LASTS_MS = 30_000;
/** Beyond it, the oldest windows of an endless run have no added delay in their chart. */
const ADDED_KEPT_MAX = 200_000;

const STAGES = {
  addedMs: "added",
  toSttMs: "added, end of speech to recogniser",
  sttToLlmMs: "added, recogniser to model",
  llmToTtsMs: "added, model to voice",
  ttsToPhoneMs: "added, voice to caller",
  toolsLateMs: "phones and emulators late, not in added",
} as const satisfies Partial<Record<keyof TurnDelays, string>>;

export class TurnDelayLog {
  readonly #emulators: EmulatorProcess | null;
  readonly #sliceAt: (atMs: number) => number;
  readonly #stages = new Map(
    Object.entries(STAGES).map(([key, what]) => [key as keyof typeof STAGES, new Sliced(what)]),
  );
  #entries = new Map<number, LogEntry>();
  #waiting: TurnRecord[] = [];
  #added: { readonly atMs: number; readonly ms: number }[] = [];
  #sinceSeq = 0;
  #unjoined = 0;

  constructor(emulators: EmulatorProcess | null, sliceAt: (atMs: number) => number) {
    this.#emulators = emulators;
    this.#sliceAt = sliceAt;
  }

  /** Forgets what was before. */
  async begin(): Promise<void> {
    await this.#emulators?.remote.clearLog();
  }

  add(turn: TurnRecord): void {
    if (this.#emulators !== null && turn.expected !== null) this.#waiting.push(turn);
  }

  /** Asks the emulators for what is new, and joins what waits. */
  async fetch(): Promise<void> {
    if (this.#emulators === null) return;
    const turns = this.#waiting;
    this.#waiting = [];
    for (const entry of await this.#emulators.remote.log({ since: this.#sinceSeq })) {
      this.#entries.set(entry.seq, entry);
    }
    const joiner = new DelayJoiner([...this.#entries.values()]);
    for (const turn of turns) this.#join(joiner, turn);
    this.#forget();
  }

  figures(): Figure[] {
    return [...this.#stages].flatMap(([key, sliced]) =>
      sliced.figures([50, 99], key === "toolsLateMs" ? "none" : "lower"),
    );
  }

  /** Turns whose words were not in the log, hence in no figure. */
  get unjoined(): number {
    return this.#unjoined;
  }

  /** Of turns that ended in a stretch of time. */
  addedIn(fromMs: number, toMs: number): Percentiles | null {
    const added = new Distribution("added");
    for (const { atMs, ms } of this.#added) if (atMs >= fromMs && atMs < toMs) added.record(ms);
    if (added.count === 0) return null;
    const at = (percentile: number): number => Number(added.percentileMs(percentile).toFixed(2));
    return { p50: at(50), p95: at(95), p99: at(99) };
  }

  #join(joiner: DelayJoiner, turn: TurnRecord): void {
    const delays = joiner.delaysOf({
      said: turn.said,
      expected: turn.expected!,
      speechEndAtMs: turn.speechEndAtMs,
      phoneLateMs: turn.phoneLateMs,
      replyAtMs: turn.replyAtMs!,
      committedAtMs: null,
    });
    if (delays.addedMs === null) this.#unjoined += 1;
    else {
      this.#added.push({ atMs: turn.speechEndAtMs, ms: delays.addedMs });
      if (this.#added.length > ADDED_KEPT_MAX) this.#added = this.#added.slice(ADDED_KEPT_MAX / 2);
    }
    const slice = this.#sliceAt(turn.speechEndAtMs);
    for (const [key, sliced] of this.#stages) {
      const delay = delays[key];
      if (delay !== null) sliced.record(delay, slice);
    }
  }

  /** T1: what every later turn is younger than. */
  #forget(): void {
    let newest = 0;
    for (const entry of this.#entries.values()) newest = Math.max(newest, beganAtMs(entry));
    for (const [seq, entry] of this.#entries) {
      if (beganAtMs(entry) >= newest - TURN_LASTS_MS) continue;
      this.#entries.delete(seq);
      this.#sinceSeq = Math.max(this.#sinceSeq, seq);
    }
  }
}

function beganAtMs(entry: LogEntry): number {
  if (entry.kind === "stt") return entry.firstWordReceivedAtMs;
  return entry.kind === "llm" ? entry.receivedAtMs : entry.firstTextAtMs;
}
