/**
 * What the line sounds like when nobody speaks.
 *
 * Three ways to move, because each alone fails:
 * N1 Frames that are not speech pull the floor towards themselves: slowly up, a little faster down, and at
 *    once when the level falls far below it.
 * N2 A new noise louder than the speech threshold looks like speech. It is told apart by being steady in
 *    level and in zero crossings for 1.5 s, which speech is not; then the floor jumps to it.
 * N3 Noise that is neither steady nor speech (traffic, a café) raises the floor to the quietest 10 ms of
 *    the last 4 s: even fast talkers leave a gap in 4 s.
 */
import { FRAME_MS } from "#runtime/media";
import { SILENCE_DB } from "./frame-meter.js";

/** N2 and N3 look at the past in blocks of this many frames (260 ms). */
const BLOCK_FRAMES = 13;
/** 4.2 s. A long word dragged out without a gap is shorter. */
const BLOCKS_KEPT = 16;
/** 1.56 s: a held "ummm" lasts about one. */
const STEADY_BLOCKS = 6;
/**
 * From the quietest 10 ms to the loudest frame. Noise filtered to 500 Hz (a car) ranges over 10 dB in that
 * time; syllables, and the gaps of 20 ms between the words of tone speech, over 15 and more.
 */
const STEADY_RANGE_DB = 11;
/** Of 159. White noise ranges over 35 in that time; vowels against sibilants, or tones of tone speech, over 60 and more. */
const STEADY_RANGE_CROSSINGS = 45;

/** N1, per frame: time constants of 400 ms up and 160 ms down. */
const RISE = 0.05;
const FALL = 0.12;
/** N1: a level this far below the floor means that the noise stopped. */
const DROP_DB = 8;
const DROP = 0.5;

/** The first frame sets the floor, inside these: silence must not make it deaf to hum, nor "hello?" deaf to speech. */
const FIRST_FLOOR_MAX_DB = -38;
/** Below this nothing is worth telling apart: the quietest step of µ-law is about −77. */
const FLOOR_MIN_DB = -75;

/** What is known of a block; in one array, since every call has one of these and an array costs as much as it holds. */
const FACTS = 5;
const LEVEL_MIN = 0;
const LEVEL_MAX = 1;
const LEVEL_MEAN = 2;
const CROSSINGS_MIN = 3;
const CROSSINGS_MAX = 4;

export class NoiseFloor {
  levelDb = FLOOR_MIN_DB;

  #started = false;
  #blockFrames = 0;
  #block = 0;
  #blocksFilled = 0;
  /** By block, FACTS of each. */
  readonly #facts = new Float32Array(BLOCKS_KEPT * FACTS);

  constructor() {
    this.#openBlock();
  }

  /** One frame of the line; not to be called for frames that are known to be our own echo. */
  update(levelDb: number, quietHalfDb: number, crossings: number, isSpeech: boolean): void {
    if (!this.#started) {
      this.#started = true;
      this.#set(Math.min(levelDb, FIRST_FLOOR_MAX_DB));
    }
    if (!isSpeech) this.#follow(levelDb);
    this.#addToBlock(levelDb, quietHalfDb, crossings);
    if (this.#blockFrames === BLOCK_FRAMES) this.#closeBlock();
  }

  // N1
  #follow(levelDb: number): void {
    const difference = Math.max(levelDb, FLOOR_MIN_DB) - this.levelDb;
    const share = difference > 0 ? RISE : difference > -DROP_DB ? FALL : DROP;
    this.#set(this.levelDb + difference * share);
  }

  #closeBlock(): void {
    this.#facts[this.#block * FACTS + LEVEL_MEAN]! /= BLOCK_FRAMES;
    this.#blocksFilled = Math.min(this.#blocksFilled + 1, BLOCKS_KEPT);
    this.#raiseToSteadyNoise();
    this.#raiseToQuietestFrame();
    this.#block = (this.#block + 1) % BLOCKS_KEPT;
    this.#openBlock();
  }

  // N2
  #raiseToSteadyNoise(): void {
    if (this.#blocksFilled < STEADY_BLOCKS) return;
    const facts = this.#facts;
    let levelMin = Infinity;
    let levelMax = -Infinity;
    let crossingsMin = Infinity;
    let crossingsMax = -Infinity;
    let mean = 0;
    for (let back = 0; back < STEADY_BLOCKS; back += 1) {
      const at = ((this.#block - back + BLOCKS_KEPT) % BLOCKS_KEPT) * FACTS;
      levelMin = Math.min(levelMin, facts[at + LEVEL_MIN]!);
      levelMax = Math.max(levelMax, facts[at + LEVEL_MAX]!);
      crossingsMin = Math.min(crossingsMin, facts[at + CROSSINGS_MIN]!);
      crossingsMax = Math.max(crossingsMax, facts[at + CROSSINGS_MAX]!);
      mean += facts[at + LEVEL_MEAN]! / STEADY_BLOCKS;
    }
    const isSteady =
      levelMax - levelMin <= STEADY_RANGE_DB && crossingsMax - crossingsMin <= STEADY_RANGE_CROSSINGS;
    if (isSteady && mean > this.levelDb) this.#set(mean);
  }

  // N3
  #raiseToQuietestFrame(): void {
    if (this.#blocksFilled < BLOCKS_KEPT) return;
    let quietest = Infinity;
    for (let block = 0; block < BLOCKS_KEPT; block += 1) {
      quietest = Math.min(quietest, this.#facts[block * FACTS + LEVEL_MIN]!);
    }
    if (quietest > this.levelDb) this.#set(quietest);
  }

  #set(levelDb: number): void {
    this.levelDb = Math.max(levelDb, FLOOR_MIN_DB);
  }

  #openBlock(): void {
    const facts = this.#facts;
    const at = this.#block * FACTS;
    this.#blockFrames = 0;
    facts[at + LEVEL_MIN] = 0;
    facts[at + LEVEL_MAX] = SILENCE_DB;
    facts[at + LEVEL_MEAN] = 0;
    facts[at + CROSSINGS_MIN] = Infinity;
    facts[at + CROSSINGS_MAX] = 0;
  }

  #addToBlock(levelDb: number, quietHalfDb: number, crossings: number): void {
    const facts = this.#facts;
    const at = this.#block * FACTS;
    this.#blockFrames += 1;
    facts[at + LEVEL_MEAN]! += levelDb;
    if (quietHalfDb < facts[at + LEVEL_MIN]!) facts[at + LEVEL_MIN] = quietHalfDb;
    if (levelDb > facts[at + LEVEL_MAX]!) facts[at + LEVEL_MAX] = levelDb;
    if (crossings < facts[at + CROSSINGS_MIN]!) facts[at + CROSSINGS_MIN] = crossings;
    if (crossings > facts[at + CROSSINGS_MAX]!) facts[at + CROSSINGS_MAX] = crossings;
  }
}

/** How long a new, louder, steady noise may pass for speech. @internal */
export const STEADY_NOISE_BOUND_MS = (STEADY_BLOCKS + 1) * BLOCK_FRAMES * FRAME_MS;
