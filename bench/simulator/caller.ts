/**
 * A caller: does what his script says, one frame of sound after the other, and hears words.
 *
 * He notes what he asked and when, and every word he heard whole, so that what the journal claims can be compared with
 * what reached his ear.
 */
import type { Step } from "./script.js";
import { NOISE_FRAME, SILENT_FRAME, WORD_FRAMES, WordEar, isSilent, writeWord } from "./word-audio.js";
import { FRAME_BYTES } from "./word-audio.js";

/** Nobody waits longer for an answer without saying anything. */
const PATIENCE_MS = 12_000;
const FAREWELL_PATIENCE_MS = 15_000;
const LAST_WAIT_MS = 1_200;
/** Deadlines and retries come before it. */
const OFFER_PATIENCE_MS = 30_000;
/** With these ends what asks for a message. */
const ASKS: ReadonlySet<string> = new Set(["number.", "now."]);
const FRAME_MS = 20;

export interface Question {
  readonly number: number;
  readonly beganAtMs: number;
  /** When he began to say the word that names it; Infinity before. */
  namedAtMs: number;
  /** Infinity while he says it. */
  endedAtMs: number;
}

export interface HeardWord {
  readonly word: string;
  readonly atMs: number;
}

export class Caller {
  readonly questions: Question[] = [];
  readonly heard: HeardWord[] = [];
  /** When he began to say something. */
  readonly spokeAtMs: number[] = [];
  /** What he left as a message. */
  message: { readonly word: string; readonly beganAtMs: number; endedAtMs: number } | null = null;
  /** When he said goodbye; null while he has not. */
  leftAtMs: number | null = null;
  /** Keys he wants to press now; the line takes them. */
  readonly keys: string[] = [];
  /** His script is over, and he hangs up. */
  isDone = false;
  readonly #nowMs: () => number;
  readonly #ear = new WordEar();
  readonly #sounds: Generator<Uint8Array, void>;
  #agentSpokeAtMs = Number.NEGATIVE_INFINITY;
  #agentBeganAtMs = Number.NEGATIVE_INFINITY;
  #hasHeard = false;

  constructor(steps: readonly Step[], nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#sounds = this.#perform(steps);
  }

  /** What he sounds like for the next 20 ms. */
  nextFrame(): Uint8Array {
    const { value, done } = this.#sounds.next();
    if (done === true) this.isDone = true;
    return value ?? SILENT_FRAME;
  }

  hear(audio: Uint8Array, offset: number): void {
    const nowMs = this.#nowMs();
    const word = this.#ear.hear(audio, offset);
    if (word !== null) this.heard.push({ word, atMs: nowMs });
    if (isSilent(audio, offset)) return;
    this.#hasHeard = true;
    if (nowMs - this.#agentSpokeAtMs > 300) this.#agentBeganAtMs = nowMs;
    this.#agentSpokeAtMs = nowMs;
  }

  /** What was on its way is gone. */
  cleared(): void {
    this.#ear.reset();
  }

  *#perform(steps: readonly Step[]): Generator<Uint8Array, void> {
    yield* this.#until(() => this.#hasHeard, 4_000);
    for (const step of steps) yield* this.#step(step);
    yield* this.#untilSilent(LAST_WAIT_MS);
  }

  *#step(step: Step): Generator<Uint8Array, void> {
    switch (step.kind) {
      case "ask":
        yield* this.#untilSilent(step.pauseMs);
        yield* this.#ask(step.question, ["Tell", "me", ...(step.tool ? ["your", "hours"] : []), "about"]);
        return;
      case "interrupt":
        yield* this.#untilSpeaking(step.afterMs);
        yield* this.#ask(step.question, ["No", "wait", "what", "about"]);
        return;
      case "backchannel":
        yield* this.#untilSpeaking(step.afterMs);
        yield* this.#say(["uh-huh"]);
        return;
      case "thank":
        yield* this.#untilSilent(step.pauseMs);
        yield* this.#say(["Thank", "you."]);
        return;
      case "noise":
        for (let ms = 0; ms < step.ms; ms += FRAME_MS) yield NOISE_FRAME;
        return;
      case "keys":
        yield* this.#untilSilent(step.pauseMs);
        for (const digit of step.digits) {
          this.keys.push(digit);
          yield* this.#wait(140);
        }
        return;
      case "hesitate": {
        yield* this.#untilSilent(300);
        const question = this.#begin(step.question);
        yield* this.#say(["I", "wanted", "to", "know"]);
        yield* this.#wait(step.pauseMs);
        yield* this.#say(["about"]);
        yield* this.#name(question, "?");
        question.endedAtMs = this.#nowMs();
        return;
      }
      case "ramble": {
        yield* this.#untilSilent(300);
        const rest = Array.from({ length: step.words }, (_, index) => `w${index}`);
        const question = this.#begin(step.question);
        yield* this.#name(question, "");
        yield* this.#say([...rest, "please?"]);
        question.endedAtMs = this.#nowMs();
        return;
      }
      case "wait":
        yield* this.#wait(step.ms);
        return;
      case "message": {
        const fromCount = this.heard.length;
        const isAsked = (): boolean => this.heard.slice(fromCount).some(({ word }) => ASKS.has(word));
        yield* this.#until(isAsked, OFFER_PATIENCE_MS);
        if (!isAsked()) return;
        yield* this.#wait(300);
        const word = `m${step.number}.`;
        this.message = { word, beganAtMs: this.#nowMs(), endedAtMs: Number.POSITIVE_INFINITY };
        yield* this.#say(["Please", "call", "me", "back", word]);
        this.message.endedAtMs = this.#nowMs();
        yield* this.#wait(FAREWELL_PATIENCE_MS);
        return;
      }
      case "farewell":
        yield* this.#untilSilent(400);
        this.leftAtMs = this.#nowMs();
        yield* this.#say(["Goodbye."]);
        yield* this.#wait(FAREWELL_PATIENCE_MS);
        return;
    }
  }

  *#ask(number: number, words: readonly string[]): Generator<Uint8Array, void> {
    const question = this.#begin(number);
    yield* this.#say(words);
    yield* this.#name(question, "?");
    question.endedAtMs = this.#nowMs();
  }

  #begin(number: number): Question {
    const never = Number.POSITIVE_INFINITY;
    const question = { number, beganAtMs: this.#nowMs(), namedAtMs: never, endedAtMs: never };
    this.questions.push(question);
    return question;
  }

  *#name(question: Question, mark: string): Generator<Uint8Array, void> {
    question.namedAtMs = this.#nowMs();
    yield* this.#say([`q${question.number}${mark}`]);
  }

  *#say(words: readonly string[]): Generator<Uint8Array, void> {
    this.spokeAtMs.push(this.#nowMs());
    for (const word of words) {
      const audio = new Uint8Array(WORD_FRAMES * FRAME_BYTES);
      writeWord(word, audio, 0);
      for (let at = 0; at < audio.length; at += FRAME_BYTES) yield audio.subarray(at, at + FRAME_BYTES);
    }
  }

  *#wait(ms: number): Generator<Uint8Array, void> {
    const untilMs = this.#nowMs() + ms;
    while (this.#nowMs() < untilMs) yield SILENT_FRAME;
  }

  /** The agent has been silent for so long, or patience is over. */
  *#untilSilent(ms: number): Generator<Uint8Array, void> {
    // An answer takes a second or two to begin.
    const beganAtMs = this.#nowMs();
    yield* this.#until(() => this.#agentSpokeAtMs >= beganAtMs - 200, 4_000);
    yield* this.#until(() => this.#nowMs() - this.#agentSpokeAtMs >= ms, PATIENCE_MS);
  }

  *#untilSpeaking(forMs: number): Generator<Uint8Array, void> {
    const isSpeaking = (): boolean => this.#nowMs() - this.#agentSpokeAtMs < 100;
    yield* this.#until(() => isSpeaking() && this.#nowMs() - this.#agentBeganAtMs >= forMs, 5_000);
  }

  *#until(condition: () => boolean, patienceMs: number): Generator<Uint8Array, void> {
    const untilMs = this.#nowMs() + patienceMs;
    while (!condition() && this.#nowMs() < untilMs) yield SILENT_FRAME;
  }
}
