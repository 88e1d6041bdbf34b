/**
 * The callers of a load: each keeps one line busy in its own manner until its time is over, with words that nobody
 * else says, and checks what it hears.
 *
 * L1 a call is due by schedule and dialled whether or not others were answered; what follows within a call follows
 *    the agent, as people do.
 * L2 a turn counts as right only when every word of the reply was heard, in order, and no other.
 */
import { FRAME_SAMPLES, type PhoneCall, type SaidUtterance, phoneClock, placeCall } from "#bench/caller";
import { normalizeWords } from "#bench/speech";
import { LumentraError } from "#runtime/errors";
import { type Random, seededRandom } from "#runtime/actor";
import type { CallRecord, GeneratorPlan, LinePlan, TurnRecord } from "./records.js";
import { codeWords, longWords, sentenceFor } from "./words.js";

/** After the reply's last word: it might have been followed by one of somebody else's. */
const LISTEN_ON_MS = 300;
/** A reply that takes longer than this did not come. */
const REPLY_TIMEOUT_MS = 10_000;
/** Idle callers speak in the first two seconds of so many: an answer later the line is silent for five. */
const IDLE_PERIOD_MS = 12_000;
const IDLE_SPREAD_MS = 2_000;
/** Of the long reply that an interrupter lets pass. */
const INTERRUPT_AFTER_MS = 700;
/** A line whose call ended before its time is dialled again after this. */
const REDIAL_MS = 1_000;

/** What callers tell as they go. */
export interface CallerEvents {
  onUp(): void;
  onDown(): void;
  onDialLate(lateMs: number): void;
  /** It begins to speak, or has heard the reply out. */
  onBusy(change: 1 | -1): void;
  onTurn(turn: TurnRecord): void;
  onCall(call: CallRecord): void;
  onFailure(what: string): void;
}

export class Line {
  readonly #line: LinePlan;
  readonly #plan: GeneratorPlan;
  readonly #events: CallerEvents;
  readonly #random: Random;
  /** Of the line, over all its calls: its words are said once each. */
  #turnCount = 0;

  constructor(line: LinePlan, plan: GeneratorPlan, events: CallerEvents) {
    this.#line = line;
    this.#plan = plan;
    this.#events = events;
    this.#random = seededRandom(line.index + 1);
  }

  /** Resolves when its last call is over. Never rejects. */
  async run(): Promise<void> {
    const { caller, dueAtMs } = this.#line;
    const everyMs = caller.everySeconds * 1_000;
    const running: Promise<void>[] = [];
    for (let at = dueAtMs; at < this.#plan.endAtMs; ) {
      await until(at);
      const call = this.#call(at);
      running.push(call);
      if (caller.kind === "short") {
        at += everyMs; // L1
      } else {
        await call;
        at = phoneClock().nowMs() + REDIAL_MS;
      }
    }
    await Promise.all(running);
  }

  async #call(dueAtMs: number): Promise<void> {
    const { nodeUrl, publicUrl, to, carrier, authToken } = this.#plan;
    const dialledAtMs = phoneClock().nowMs();
    const lateMs = dialledAtMs - dueAtMs;
    this.#events.onDialLate(lateMs);
    let call: PhoneCall | null = null;
    let failed = false;
    try {
      call = await placeCall({
        nodeUrl,
        to,
        carrier,
        from: `+1555${String(1_000_000 + this.#line.index)}`,
        ...(publicUrl !== undefined && { publicUrl }),
        ...(authToken !== undefined && { authToken }),
      });
      if (call.outcome === null) {
        this.#events.onUp();
        try {
          await this.#talk(call);
        } finally {
          this.#events.onDown();
        }
      }
    } catch (error) {
      failed = true;
      this.#fail(error, call);
    }
    if (call === null) return;
    call.hangUp();
    const { outcome, stats } = await call.ended;
    const refused = outcome.kind === "rejected";
    if (!refused && outcome.kind !== "callerHungUp" && !failed) {
      failed = true;
      this.#fail(new Error(`the call ended: ${JSON.stringify(outcome)}`), call);
    }
    this.#events.onCall({
      callSid: call.callSid,
      kind: this.#line.caller.kind,
      dueAtMs,
      webhookMs: outcome.kind === "webhookFailed" ? null : stats.webhookMs + lateMs,
      greetingMs: stats.firstAudioMs === null ? null : stats.firstAudioMs + lateMs,
      end: refused ? "refused" : failed ? "failed" : "done",
      underruns: stats.underrunCount,
      violations: stats.violations,
    });
  }

  async #talk(call: PhoneCall): Promise<void> {
    await call.waitForReply(0);
    const { kind, thinkMs } = this.#line.caller;
    const think = (): number => thinkMs[0] + this.#random.next() * (thinkMs[1] - thinkMs[0]);
    const turns = this.#turnsOfCall();
    // Not all at the same instant, and not in step ever after.
    if (kind !== "idle") await until(call.nowMs() + this.#random.next() * think());
    for (let turn = 1; ; turn += 1) {
      if (kind === "idle") await until(this.#nextIdleTurnAtMs(call.nowMs()));
      if (turn > 1 && call.nowMs() >= this.#plan.endAtMs) return;
      if (call.outcome !== null) return;
      this.#events.onBusy(1);
      try {
        if (kind === "bargeIn") await this.#interrupt(call);
        else await this.#takeTurn(call, this.#nextWords(), null);
      } finally {
        this.#events.onBusy(-1);
      }
      if (turn >= turns || call.nowMs() >= this.#plan.endAtMs) return;
      if (kind !== "idle") await until(call.nowMs() + think());
    }
  }

  #turnsOfCall(): number {
    const { kind, turns } = this.#line.caller;
    if (kind === "short") return 1;
    if (turns === undefined) return Number.POSITIVE_INFINITY;
    return turns[0] + Math.floor(this.#random.next() * (turns[1] - turns[0] + 1));
  }

  /** All idle callers in the same two seconds, each at a place of its own. */
  #nextIdleTurnAtMs(nowMs: number): number {
    const place = ((this.#line.index * 0.618_034) % 1) * IDLE_SPREAD_MS;
    const period = Math.ceil((nowMs - this.#plan.startAtMs - place) / IDLE_PERIOD_MS);
    return this.#plan.startAtMs + period * IDLE_PERIOD_MS + place;
  }

  #nextWords(): string {
    return codeWords(this.#line.index, this.#turnCount++);
  }

  /** A sentence with a long answer, and the next one into it. */
  async #interrupt(call: PhoneCall): Promise<void> {
    const asked = await this.#say(call, sentenceFor(longWords(this.#line.index, this.#turnCount++)));
    await call.waitForAgentSpeech(asked.endedAtMs, INTERRUPT_AFTER_MS, REPLY_TIMEOUT_MS);
    let clearedAtMs: number | null = null;
    const off = call.on((event) => {
      if (event.kind === "cleared") clearedAtMs ??= event.atMs;
    });
    try {
      await this.#takeTurn(call, this.#nextWords(), () => clearedAtMs);
    } finally {
      off();
    }
  }

  /** One sentence and its reply; what was heard is told, right or wrong. */
  async #takeTurn(call: PhoneCall, words: string, clearedAtMs: (() => number | null) | null): Promise<void> {
    const sentence = sentenceFor(words);
    const { checked } = this.#plan;
    const said = await this.#say(call, sentence);
    const wordCount = normalizeWords(words).length;
    try {
      if (checked) {
        await call.waitUntil("the reply", REPLY_TIMEOUT_MS, () => heardSince(call, said).length >= wordCount);
        await call.waitForSilence(LISTEN_ON_MS, REPLY_TIMEOUT_MS);
      } else await call.waitForReply(said.endedAtMs, REPLY_TIMEOUT_MS);
    } finally {
      const heard = heardSince(call, said).join(" ");
      const replyAtMs = call.spurts.find(({ startedAtMs }) => startedAtMs >= said.endedAtMs)?.startedAtMs;
      const cutAtMs = clearedAtMs?.() ?? null;
      this.#events.onTurn({
        callSid: call.callSid,
        kind: this.#line.caller.kind,
        said: sentence,
        expected: checked ? words : null,
        heard,
        right: checked ? heardRight(heard, words) : replyAtMs !== undefined,
        speechEndAtMs: said.intendedEndAtMs,
        phoneLateMs: said.endedAtMs - said.intendedEndAtMs,
        replyAtMs: replyAtMs ?? null,
        bargeInMs: cutAtMs === null ? null : cutAtMs - said.startedAtMs,
      });
    }
  }

  /** Anywhere in a frame, as people speak: at a frame's edge every sentence would end on the same side of each batch. */
  #say(call: PhoneCall, sentence: string): Promise<SaidUtterance> {
    return call.say(sentence, { leadSamples: Math.floor(this.#random.next() * FRAME_SAMPLES) });
  }

  #fail(error: unknown, call: PhoneCall | null): void {
    const why = error instanceof Error ? error.message : String(error);
    const where = call === null ? "" : ` (${call.callSid})`;
    this.#events.onFailure(`line ${this.#line.index}, turn ${this.#turnCount}${where}: ${why}`);
    if (!(error instanceof LumentraError) && !(error instanceof Error && error.name === "Error")) throw error;
  }
}

function heardSince(call: PhoneCall, said: SaidUtterance): readonly string[] {
  // Backwards: a call may be long, a turn is not.
  const words: string[] = [];
  for (let i = call.heard.length - 1; i >= 0 && call.heard[i]!.playedAtMs >= said.endedAtMs; i--) {
    words.unshift(call.heard[i]!.word);
  }
  return words;
}

/** Whether the caller heard its own words and nothing else (L2). */
export function heardRight(heard: string, expected: string): boolean {
  return heard.toLowerCase().replace(/[^a-z ]/g, "") === expected;
}

/** Resolves at an instant of the phones' clock; at once when it has passed. */
export function until(atMs: number): Promise<void> {
  const clock = phoneClock();
  return new Promise((resolve) => {
    clock.setTimer(Math.max(0, atMs - clock.nowMs()), resolve);
  });
}
