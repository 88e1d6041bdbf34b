/**
 * The callers of a scenario: placed by schedule, each says sentences with words of its own, hears them back, and says
 * the next. Nobody stops for a fault; what each asked and heard is kept for the checks.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  type HeardWord,
  type LineImpairments,
  type PhoneCall,
  type PhoneCallResult,
  type SaidUtterance,
  placeCall,
} from "#bench/caller";
import { normalizeWords } from "#bench/speech";
import { LumentraError } from "#runtime/errors";
import { NUMBER } from "./tenant.js";
import type { Scenario } from "./scenario-schema.js";

/** Long enough for a fault, its recovery and the reply; a sentence whose words are not back by then is lost. */
const REPLY_TIMEOUT_MS = 25_000;
/** A caller who has heard nothing of a reply, and nothing else, for so long says it again. */
const REPEAT_AFTER_MS = 6_000;
/** Twice: on a busy machine the first time may fall into the same gap. */
const REPEATS_MAX = 2;
/** The agent says that it may have missed something; or begins to, when the caller still speaks: "Sorry, we were cut off". */
const CUT_OFF = /\bSorry,(?! could)/;
/**
 * Sentences beyond the scenario's while a fault has not struck, or befallen nobody: a model that failed a call is asked
 * last by it for ten seconds, which are all that is left of a short one. A scenario's turns alone would leave it to chance
 * whom a fault meets.
 */
const FURTHER_TURNS_MAX = 6;
/** After the reply's last word: it might have been followed by one too many. */
const LISTEN_ON_MS = 600;
/** The agent asks for a message. */
const MESSAGE_ASKED = /leave (a|your) message/i;
/** A caller who left a message hears thanks and a goodbye. */
const GOODBYE_TIMEOUT_MS = 40_000;

/** Spelling words: one tone-speech word each. */
const ALPHABET = (
  "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec " +
  "romeo sierra tango uniform victor whiskey xray yankee zulu"
).split(" ");

export interface AskedTurn {
  /** What the caller asked to hear, and should have. */
  readonly words: readonly string[];
  /** All that was heard after it, up to the next sentence. */
  readonly heard: readonly string[];
  readonly answered: boolean;
  /** From the sentence's last sample to the first sound after it; null when there was none. */
  readonly delayMs: number | null;
}

export interface Caller {
  readonly index: number;
  readonly call: PhoneCall;
  readonly turns: AskedTurn[];
  readonly result: Promise<PhoneCallResult>;
}

export class Workload {
  /** Sentences answered so far, and given up. */
  turnsDone = 0;
  /** Sentences asked beyond the scenario's. */
  furtherTurns = 0;
  /** Those who were answered. */
  readonly callers: Caller[] = [];
  /** Callers who got the overflow. */
  refused = 0;
  readonly failures: string[] = [];
  readonly #scenario: Scenario["workload"];
  readonly #isToCome: () => Promise<boolean>;
  #greeted = 0;

  /** `isToCome`: whether a fault has yet to strike, or to befall somebody. */
  constructor(scenario: Scenario["workload"], isToCome = () => Promise.resolve(false)) {
    this.#scenario = scenario;
    this.#isToCome = isToCome;
  }

  /** By the scenario. */
  get turnsInAll(): number {
    return (this.#scenario.calls - this.refused) * this.#scenario.turns;
  }

  /** Every caller has heard the greeting, or will not. */
  get allGreeted(): boolean {
    return this.#greeted >= this.#scenario.calls;
  }

  /** Resolves when every caller has hung up, or was hung up on. */
  async run(webhookUrl: string): Promise<void> {
    const { calls, arrivalsPerSecond } = this.#scenario;
    const startedAtMs = performance.now();
    const running: Promise<void>[] = [];
    for (let index = 0; index < calls; index += 1) {
      const dueInMs = startedAtMs + (index * 1_000) / arrivalsPerSecond - performance.now();
      if (dueInMs > 0) await sleep(dueInMs);
      running.push(this.#one(webhookUrl, index));
    }
    await Promise.all(running);
  }

  async #one(webhookUrl: string, index: number): Promise<void> {
    const { turns, line, thinkMs } = this.#scenario;
    try {
      const from = `+1555${String(3_000_000 + index)}`;
      const call = await placeCall({ nodeUrl: webhookUrl, to: NUMBER, from, line: plain(line) });
      if (call.outcome?.kind === "rejected") {
        this.refused += 1;
        this.#greeted += 1;
        return;
      }
      const caller: Caller = { index, call, turns: [], result: call.ended };
      this.callers.push(caller);
      await call.waitForReply(0).finally(() => (this.#greeted += 1));
      for (
        let turn = 0;
        call.outcome === null && (turn < turns || (await this.#goesOn(call, turn)));
        turn += 1
      ) {
        await this.#ask(caller, wordsOf(index, turn, this.#scenario.words));
        if (this.#isAskedForMessage(call)) await leaveMessage(call, index);
        await sleep(thinkMs);
      }
      if (call.outcome === null) call.hangUp();
      await call.ended;
    } catch (error) {
      if (!(error instanceof LumentraError)) throw error;
      // A call that ends under the caller is an outcome, and the checks' to judge.
      const caller = this.callers.find((one) => one.index === index);
      if (caller === undefined) this.failures.push(`caller ${index}: ${error.message}`);
      else if (caller.call.outcome === null) caller.call.hangUp();
    }
  }

  /** Whether one more is asked, beyond the scenario's. */
  async #goesOn(call: PhoneCall, turn: number): Promise<boolean> {
    if (turn >= this.#scenario.turns + FURTHER_TURNS_MAX || !(await this.#isToCome())) return false;
    if (call.outcome !== null) return false;
    this.furtherTurns += 1;
    return true;
  }

  #isAskedForMessage(call: PhoneCall): boolean {
    return this.#scenario.leavesMessages && MESSAGE_ASKED.test(call.heardText());
  }

  async #ask(caller: Caller, words: readonly string[]): Promise<void> {
    const { call } = caller;
    let answered = false;
    const sentence = `Please say ${words.join(" ")}`;
    const said = await sayOnceThereIsALine(call, sentence);
    const heardSince = (): readonly string[] => plainWords(call.heard, said.endedAtMs);
    try {
      const isAnswered = () => spelled(heardSince()).length > 0 || this.#isAskedForMessage(call);
      const mayRepeat = () => this.#scenario.repeats || CUT_OFF.test(call.heardText(said.startedAtMs));
      let saidAtMs = said.endedAtMs;
      for (let repeats = 0; repeats < REPEATS_MAX; repeats += 1) {
        if (!(await isLeftAlone(call, saidAtMs, isAnswered)) || !mayRepeat()) break;
        saidAtMs = (await sayOnceThereIsALine(call, sentence)).endedAtMs;
      }
      const isOver = () => heardAll(heardSince(), words) || this.#isAskedForMessage(call);
      await call.waitUntil("the reply", REPLY_TIMEOUT_MS, isOver);
      await call.waitForSilence(LISTEN_ON_MS, REPLY_TIMEOUT_MS);
      answered = true;
    } finally {
      const reply = call.spurts.find((spurt) => spurt.startedAtMs >= said.endedAtMs);
      const delayMs = reply === undefined ? null : reply.startedAtMs - said.intendedEndAtMs;
      caller.turns.push({ words, heard: heardSince(), answered, delayMs });
      this.turnsDone += 1;
    }
  }
}

/**
 * Between two media streams nothing can be said, and a caller whose line is silent waits rather than hangs up. Who was
 * cut off in mid-sentence says it again.
 */
async function sayOnceThereIsALine(call: PhoneCall, sentence: string): Promise<SaidUtterance> {
  for (;;) {
    await call.waitUntil("a line", REPLY_TIMEOUT_MS, () => call.leg !== null);
    const said = await call.say(sentence);
    if (!said.isCutOff) return said;
  }
}

/** Whether nothing was heard for REPEAT_AFTER_MS before an answer came. */
async function isLeftAlone(call: PhoneCall, sinceMs: number, isAnswered: () => boolean): Promise<boolean> {
  const giveUpAtMs = call.nowMs() + REPLY_TIMEOUT_MS;
  while (call.outcome === null && call.nowMs() < giveUpAtMs) {
    const quietFromMs = call.agentPlaying
      ? call.nowMs()
      : Math.max(sinceMs, call.spurts.at(-1)?.endedAtMs ?? 0);
    const leftMs = quietFromMs + REPEAT_AFTER_MS - call.nowMs();
    if (leftMs <= 0) return true;
    const isHeard = await call.waitUntil("an answer", leftMs, isAnswered).then(
      () => true,
      () => false,
    );
    if (isHeard) return false;
  }
  return false;
}

async function leaveMessage(call: PhoneCall, index: number): Promise<void> {
  await call.waitForSilence(LISTEN_ON_MS);
  await call.say(`This is ${wordsOf(index, 0, 4).join(" ")} please call me back`);
  await call.waitUntil("the end", GOODBYE_TIMEOUT_MS, () => call.outcome !== null);
}

/** Of what was heard, the words that callers ask for: fillers and apologies left out. */
export function spelled(heard: readonly string[]): readonly string[] {
  return heard.filter((word) => ALPHABET.includes(word));
}

/** Every one of these words was heard, in this order; others, and the same again, may stand between. */
export function heardAll(heard: readonly string[], words: readonly string[]): boolean {
  let from = 0;
  return words.every((word) => {
    const at = heard.indexOf(word, from);
    from = at + 1;
    return at >= 0;
  });
}

/** The first two are the caller's alone, up to 676 callers; the third the turn's; the rest make it long. */
export function wordsOf(caller: number, turn: number, count: number): readonly string[] {
  const size = ALPHABET.length;
  return Array.from({ length: count }, (_, place) => {
    if (place === 0) return ALPHABET[Math.floor(caller / size) % size]!;
    if (place === 1) return ALPHABET[caller % size]!;
    return ALPHABET[(turn + (place - 2) * 7) % size]!;
  });
}

function plainWords(heard: readonly HeardWord[], sinceMs: number): readonly string[] {
  return heard.filter(({ playedAtMs }) => playedAtMs >= sinceMs).flatMap(({ word }) => normalizeWords(word));
}

/** Without what was not said. */
function plain(line: Scenario["workload"]["line"]): LineImpairments {
  return Object.fromEntries(Object.entries(line).filter(([, value]) => value !== undefined));
}
