/**
 * Whether the caller's turn is over: words as well as silence. Pure; ask it whenever a transcript arrives
 * and at the instant it names itself.
 *
 *   last sample   60       100          150      200 or 250        1100, 1500           2000
 *   |--- silence -|---------|------------|----------|--------------------|----------------|
 *                 eager may  interim:     final      commit of a          of an unfinished  of anything
 *                 begin      eager begins            complete sentence    one, of digits
 *
 * Invariants
 * E1 `eager` and `commit` need words that cover the speech that was heard, or a recogniser that has had
 *    its time: a final of the sentence before must not end the turn while the last words are on their way.
 * E2 Silence of `maxSilenceMs` commits whatever else holds, once the recogniser has had as long.
 * E3 `recheckAtMs` is later than `nowMs`: asking at that instant gets nearer to a decision, never a busy loop.
 * E4 Nothing is committed while the caller speaks; eager begins then only on the recogniser's own word.
 */
import assert from "node:assert";
import { speechLanguage } from "./language.js";
import { type TurnShape, turnShape } from "./turn-shape.js";

export interface EndpointingInput {
  readonly nowMs: number;
  /** What the caller said in this turn so far: finals, and after them the present interim. */
  readonly text: string;
  /** No part of `text` is interim. */
  readonly isFinal: boolean;
  /** The last final said that the caller paused (`onFinal`'s `endOfSpeech`). */
  readonly sttEndOfSpeech: boolean;
  /** The recogniser thinks that the caller is probably done (`onEagerEndOfTurn`, not resumed). @default false */
  readonly sttEagerEndOfTurn?: boolean;
  /** Since the last speech; 0 while the caller speaks. */
  readonly silenceMs: number;
  /**
   * How long the recogniser has had since speech was last given to it. Less than `silenceMs` after a stall, when
   * audio comes in a burst. @default silenceMs
   */
  readonly sttTimeMs?: number;
  /** When the last transcript of any kind arrived; null before the first of this turn. */
  readonly transcriptAtMs: number | null;
  /** Where the last word of `text` ends and where speech ended, both in milliseconds of audio; null or absent when not known. */
  readonly transcriptEndMs?: number | null;
  readonly speechEndMs?: number | null;
  /** BCP-47. */
  readonly language: string;
  /** Digits the agent asked for, see `expectedDigits()`; null or absent for no particular number. */
  readonly expectedDigits?: number | null;
}

export type EndpointingDecision =
  | { readonly kind: "wait"; readonly recheckAtMs: number }
  /** Probably over: start the reply, send nothing. May be said many times for the same text. */
  | { readonly kind: "eager"; readonly recheckAtMs: number }
  /** Over. With an empty text: there was sound but no words; drop it. `isCovered`: by all we know no words are missing. */
  | { readonly kind: "commit"; readonly isCovered: boolean };

export interface EndpointingOptions {
  /** Silence before a reply is prepared: three frames, more than the closure inside a word. @default 60 */
  readonly eagerSilenceMs?: number;
  /** A whole sentence, final. Below it the final is not there yet (150); above it the caller waits for us. @default 200 */
  readonly completeSilenceMs?: number;
  /** No closing mark, but the recogniser says that the caller paused. @default 250 */
  readonly pausedSilenceMs?: number;
  /** No closing mark, and no word from the recogniser about a pause. @default 400 */
  readonly openSilenceMs?: number;
  /** The words are there but not final: the recogniser is late, or its final was lost. @default 500 */
  readonly interimSilenceMs?: number;
  /** The words do not cover what was heard: a recogniser under load is a second late, more is an outage. @default 900 */
  readonly uncoveredSilenceMs?: number;
  /** Ends on "and", "um", a comma: people think for about a second. @default 1100 */
  readonly unfinishedSilenceMs?: number;
  /** Digits or letters, nobody knows how many. @default 1200 */
  readonly dictationSilenceMs?: number;
  /** Digits are missing from the number that was asked for; groups are up to 1.5 s apart. @default 1500 */
  readonly askedDictationSilenceMs?: number;
  /** Speech was heard but no words came: a cough, a door. @default 1500 */
  readonly wordlessSilenceMs?: number;
  /** Nothing waits longer. @default 2000 */
  readonly maxSilenceMs?: number;
}

export type ResolvedEndpointingOptions = Required<EndpointingOptions>;

const DEFAULTS: ResolvedEndpointingOptions = {
  eagerSilenceMs: 60,
  completeSilenceMs: 200,
  pausedSilenceMs: 250,
  openSilenceMs: 400,
  interimSilenceMs: 500,
  uncoveredSilenceMs: 900,
  unfinishedSilenceMs: 1_100,
  dictationSilenceMs: 1_200,
  askedDictationSilenceMs: 1_500,
  wordlessSilenceMs: 1_500,
  maxSilenceMs: 2_000,
};

/**
 * Recognisers place the end of a word up to 100 ms early, the VAD's last frame up to 60 late; the shortest
 * word that could be missing lasts about 200.
 */
export const COVER_TOLERANCE_MS = 180;
/** Silence with no new transcript after which the recogniser has said all it will: three times an interim's delay. */
const SETTLED_MS = 300;
/** The same when by its own word times the recogniser is behind what was heard: slow ones take this long. */
const BEHIND_SETTLED_MS = 600;

export class Endpointing {
  readonly options: ResolvedEndpointingOptions;
  /** The shape of the last text asked about: most questions repeat it, 20 ms later. */
  #shapeKey = "";
  #shape: TurnShape = "open";

  constructor(options: EndpointingOptions = {}) {
    this.options = { ...DEFAULTS, ...options };
    for (const [name, value] of Object.entries(this.options)) {
      assert(
        value > 0 && value <= this.options.maxSilenceMs,
        `${name} must be above 0 and within maxSilenceMs`,
      );
    }
    assert(this.options.eagerSilenceMs <= this.options.completeSilenceMs, "eager must come before commit");
  }

  decide(input: EndpointingInput): EndpointingDecision {
    const { nowMs } = input;
    const text = input.text.trim();
    const shape = this.#shapeOf(text, input);
    const settledAtMs = settledAt(input);
    const isCovered = coversSpeech(input) || nowMs >= settledAtMs;
    const commitSilenceMs = this.#commitSilenceMs(text, shape, isCovered, input); // E2: none is above the maximum
    // E1: what the words still miss is waited for by the recogniser's time, not by the caller's silence.
    const silenceMs = isCovered && input.isFinal ? input.silenceMs : sttTimeMs(input);
    if (silenceMs > 0 && silenceMs >= commitSilenceMs)
      return { kind: "commit", isCovered: coversSpeech(input) };
    const recheckAtMs = Math.min(
      laterThan(nowMs, nowMs - silenceMs + this.options.eagerSilenceMs),
      laterThan(nowMs, nowMs - silenceMs + commitSilenceMs),
      laterThan(nowMs, settledAtMs),
    ); // E3
    return { kind: this.#isEager(text, shape, isCovered, input) ? "eager" : "wait", recheckAtMs };
  }

  #shapeOf(text: string, input: EndpointingInput): TurnShape {
    const expectedDigits = input.expectedDigits ?? null;
    const key = `${input.language} ${expectedDigits} ${text}`;
    if (key !== this.#shapeKey) {
      this.#shapeKey = key;
      this.#shape = text === "" ? "open" : turnShape(text, speechLanguage(input.language), expectedDigits);
    }
    return this.#shape;
  }

  #commitSilenceMs(text: string, shape: TurnShape, isCovered: boolean, input: EndpointingInput): number {
    const options = this.options;
    if (text === "") return options.wordlessSilenceMs;
    if (shape === "unfinished") return options.unfinishedSilenceMs;
    if (shape === "dictating") return options.dictationSilenceMs;
    if (shape === "dictatingAsked") return options.askedDictationSilenceMs;
    if (!isCovered) return options.uncoveredSilenceMs; // E1
    if (!input.isFinal) return options.interimSilenceMs;
    if (shape === "complete") return options.completeSilenceMs;
    return input.sttEndOfSpeech ? options.pausedSilenceMs : options.openSilenceMs;
  }

  #isEager(text: string, shape: TurnShape, isCovered: boolean, input: EndpointingInput): boolean {
    if (text === "" || (shape !== "complete" && shape !== "open")) return false;
    if (input.sttEagerEndOfTurn === true) return true;
    return isCovered && input.silenceMs >= this.options.eagerSilenceMs; // E4
  }
}

/** E1: by the words' own times when they are known, else by when the transcript came. */
function coversSpeech(input: EndpointingInput): boolean {
  const { nowMs, transcriptAtMs } = input;
  if (transcriptAtMs === null) return false;
  const cameInSilence = transcriptAtMs >= nowMs - sttTimeMs(input);
  // The recogniser itself heard the pause that we hear: nothing is missing, wherever it puts its words.
  if (cameInSilence && input.isFinal && input.sttEndOfSpeech) return true;
  const behindMs = behindSpeechMs(input);
  return behindMs === null ? cameInSilence : behindMs <= COVER_TOLERANCE_MS;
}

function sttTimeMs({ silenceMs, sttTimeMs = silenceMs }: EndpointingInput): number {
  return Math.min(silenceMs, sttTimeMs);
}

/** How far the words end before the speech does; null when one of the two is not known. */
function behindSpeechMs(input: EndpointingInput): number | null {
  const transcriptEndMs = input.transcriptEndMs ?? null;
  const speechEndMs = input.speechEndMs ?? null;
  return transcriptEndMs === null || speechEndMs === null ? null : speechEndMs - transcriptEndMs;
}

/** When, with neither speech nor transcript in between, the recogniser has had its time. */
function settledAt(input: EndpointingInput): number {
  const { nowMs, transcriptAtMs } = input;
  if (transcriptAtMs === null || input.silenceMs <= 0) return Number.POSITIVE_INFINITY;
  const isBehind = (behindSpeechMs(input) ?? 0) > COVER_TOLERANCE_MS;
  return Math.max(transcriptAtMs, nowMs - sttTimeMs(input)) + (isBehind ? BEHIND_SETTLED_MS : SETTLED_MS);
}

function laterThan(nowMs: number, atMs: number): number {
  return atMs > nowMs ? atMs : Number.POSITIVE_INFINITY;
}
