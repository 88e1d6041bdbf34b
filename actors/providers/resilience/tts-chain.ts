/**
 * A tenant's voices in order, as one provider to a call. When one dies in mid-reply the next says the rest, from the
 * first word that was not said to its end.
 *
 *   text     Sure,  I  can  book  that  for  Monday
 *   first    |-----|--|----|--- ✗              audio delivered up to the end of "can"; half of "book" held, dropped
 *   second                  |-----|----|---|------|  "book that for Monday", times counted from the first's end
 *
 * For that the audio is handed on word by word: what came of a word that is not complete is held as long as the
 * caller's ear is far behind, which it mostly is, as voices are made faster than they play. So no word is said
 * twice, and none is left out; at worst, when audio was as late as the ear, a word is begun and then said again; or a
 * few are said twice, where the voice tells no times and they are those of a slow one (spoken-rest.ts).
 *
 * Invariants
 * V1 audio and times of one reply form one stream, whoever made them: times count from its first byte. Where
 *    another voice may have to go on, a word's time is told when its audio begins, so at most one is told twice.
 * V2 held audio is handed on before the ear needs it, complete or not.
 * V3 no event runs inside `speak`, `push` or `finish`; after `cancel()`, `onDone` or `onError` none at all.
 * V4 every ticket is given back.
 * V5 where nobody else is left, the room of one that had none is waited for, ROOM_PATIENCE_MS at most; so is that of the
 *    last that was asked and said so, where the retry budget allows.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import { bytesPerMs } from "#runtime/media";
import { type Due, type DueSweep, NEVER } from "../due-sweep.js";
import { estimateWords } from "../tts/word-estimates.js";
import type { TtsEvents, TtsProvider, TtsRequest, TtsStream, TtsVoice, TtsWord } from "../tts/provider.js";
import type { Denial, ProviderAccount, Reason, Ticket } from "./account.js";
import { type ChainMetrics, ROOM_PATIENCE_MS, SHUN_MS, isWorthRetry, unavailable } from "./chain.js";
import { restAfterMs, restAfterWords } from "./spoken-rest.js";

/** From the first text to the first audio, when there is somebody else to ask; 40 to 90 ms is usual. */
export const FIRST_AUDIO_PATIENCE_MS = 1_500;
/** Between events when all text was sent, likewise: longer than any voice pauses in making speech. */
export const VOICE_STALL_PATIENCE_MS = 1_500;
/** After a refusal that did not say how long to wait: some reply ends, and the budget has come down meanwhile. */
export const LIMITED_PAUSE_MS = 500;
/** Audio is held while at least so much is handed on and not played. Twice what the sweep and a busy loop are late. */
const LEAD_MS = 300;
/** A last word that ends this much after the audio does, does so by rounding. */
const ROUNDING_MS = 40;

export interface TtsRoute {
  readonly name: string;
  readonly model: string;
  readonly voice: string;
  readonly account: ProviderAccount;
  /** Built when first asked for. */
  readonly provider: () => TtsProvider;
}

export interface TtsChainDeps {
  readonly clock: Clock;
  readonly sweep: DueSweep;
  readonly tenantId: string;
  readonly metrics: ChainMetrics;
}

export class TtsChain implements TtsProvider {
  readonly #routes: readonly TtsRoute[];
  readonly #deps: TtsChainDeps;
  /** When each route last failed this call. */
  readonly #failedAtMs: number[];

  constructor(routes: readonly TtsRoute[], deps: TtsChainDeps) {
    this.#routes = routes;
    this.#deps = deps;
    this.#failedAtMs = routes.map(() => Number.NEGATIVE_INFINITY);
  }

  /** Of the first choice: cached phrases are in its voice. */
  get name(): string {
    return this.#routes[0]!.name;
  }

  speak(request: TtsRequest, events: TtsEvents): TtsStream {
    const nowMs = this.#deps.clock.nowMs();
    const order = this.#routes.map((route, index) => ({
      route,
      index,
      isShunned: nowMs - this.#failedAtMs[index]! < SHUN_MS,
    }));
    order.sort((a, b) => Number(a.isShunned) - Number(b.isShunned));
    return new ChainedSpeech(request, events, order, {
      onFailed: (index) => {
        this.#failedAtMs[index] = this.#deps.clock.nowMs();
      },
      ...this.#deps,
    });
  }

  async warm(voice: TtsVoice): Promise<void> {
    await Promise.allSettled(
      this.#routes.map((route) =>
        route.provider().warm({ ...voice, model: route.model, voice: route.voice }),
      ),
    );
  }

  /** The providers are the shard's. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

interface Candidate {
  readonly route: TtsRoute;
  readonly index: number;
  /** It failed this call a moment ago: to ask it is a retry. */
  readonly isShunned: boolean;
  /** For this very reply (V5). */
  readonly wasAsked?: boolean;
}

interface SpeechDeps extends TtsChainDeps {
  readonly onFailed: (index: number) => void;
}

interface Attempt {
  readonly candidate: Candidate;
  readonly ticket: Ticket;
  /** Where in the reply's audio it began. */
  readonly baseMs: number;
  /** Where in the reply's text. */
  readonly baseChars: number;
  stream: TtsStream | null;
  /** Bytes that came, and of them those handed on. */
  cameBytes: number;
  handedBytes: number;
  readonly words: TtsWord[];
  /** Of them, from the first: those told, and those whose audio has all come. */
  toldCount: number;
  spokenCount: number;
  over: boolean;
}

class ChainedSpeech implements TtsStream, Due {
  dueAtMs = NEVER;
  readonly #request: TtsRequest;
  readonly #events: TtsEvents;
  readonly #deps: SpeechDeps;
  readonly #bytesPerMs: number;
  readonly #left: Candidate[];
  /** Those that had no room when it was their turn. */
  readonly #full: Candidate[] = [];
  readonly #held: Uint8Array[] = [];
  #heldBytes = 0;
  #text = "";
  #finished = false;
  #attempt: Attempt | null = null;
  #over = false;
  #hasAskedAgain = false;
  /** Of the whole reply. */
  #handedMs = 0;
  /** The first byte was handed on: no ear can be further than the time since. */
  #startedAtMs: number | null = null;
  #patienceAtMs = NEVER;
  #releaseAtMs = NEVER;
  /** While room is waited for: the next look, until when, and where the text goes on. */
  #roomAtMs = NEVER;
  #roomUntilMs: number | null = null;
  #roomForChars = 0;
  #lastDenial: Denial | null = null;
  #lastFailed: { readonly name: string; readonly error: LumentraError } | null = null;

  constructor(request: TtsRequest, events: TtsEvents, order: readonly Candidate[], deps: SpeechDeps) {
    this.#request = request;
    this.#events = events;
    this.#deps = deps;
    this.#bytesPerMs = bytesPerMs(request.format);
    this.#left = order.slice();
    deps.sweep.add(this);
    if (!this.#askNext("first", 0) && !this.#awaitRoom(0)) deps.clock.setTimer(0, () => this.#failAll()); // V3
  }

  push(text: string): void {
    if (this.#over) return;
    this.#text += text;
    this.#attempt?.stream?.push(text);
    // From the first text: what follows it makes nobody more patient.
    if (this.#attempt?.cameBytes === 0 && this.#patienceAtMs === NEVER)
      this.#waitFor(FIRST_AUDIO_PATIENCE_MS);
  }

  finish(): void {
    if (this.#over || this.#finished) return;
    this.#finished = true;
    this.#attempt?.stream?.finish();
    if (this.#attempt !== null && this.#attempt.cameBytes > 0) this.#waitFor(VOICE_STALL_PATIENCE_MS);
  }

  cancel(): void {
    this.#settle();
  }

  onDue(nowMs: number): void {
    if (nowMs >= this.#releaseAtMs && this.#attempt !== null) this.#handOn(this.#attempt, Infinity); // V2
    if (nowMs >= this.#patienceAtMs) this.#onImpatient();
    if (nowMs >= this.#roomAtMs) this.#lookForRoom();
    this.#arm();
  }

  /** Has the text from `baseChars` on said by the next who may be asked. */
  #askNext(reason: Reason, baseChars: number): boolean {
    const why = ({ isShunned, wasAsked = false }: Candidate): Reason =>
      wasAsked || (reason === "first" && isShunned) ? "retry" : reason;
    const tried: Candidate[] = [];
    this.#left.unshift(...this.#full.splice(0));
    for (let next = this.#left.shift(); next !== undefined; next = this.#left.shift()) {
      if (this.#ask(next, why(next), baseChars)) return true;
      if (this.#lastDenial === "breakerOpen") tried.push(next);
      if (this.#lastDenial === "budget") this.#full.push(next);
    }
    // One that others are just trying is better than nobody.
    return tried.some((candidate) => this.#ask(candidate, why(candidate), baseChars, true));
  }

  /** V5. False: nobody is just full, or has told us to stay away for longer. */
  #awaitRoom(baseChars: number, pauseMs = 0): boolean {
    const nowMs = this.#deps.clock.nowMs();
    this.#roomUntilMs ??= nowMs + ROOM_PATIENCE_MS;
    const leftMs = this.#roomUntilMs - nowMs;
    if (leftMs <= 0 || !this.#full.some(({ route }) => route.account.budget.closedForMs <= leftMs))
      return false;
    this.#roomForChars = baseChars;
    this.#roomAtMs = nowMs + pauseMs; // by the sweep
    this.#arm();
    return true;
  }

  #lookForRoom(): void {
    this.#roomAtMs = NEVER;
    const hasRoom = this.#canMoveOn();
    if (hasRoom && this.#askNext(this.#lastFailed === null ? "first" : "fallback", this.#roomForChars))
      return;
    if (!this.#awaitRoom(this.#roomForChars)) this.#failAll();
  }

  #ask(candidate: Candidate, reason: Reason, baseChars: number, isLast = false): boolean {
    const { route } = candidate;
    const ticket = route.account.enter(this.#deps.tenantId, reason, isLast);
    if (typeof ticket === "string") {
      this.#lastDenial = ticket;
      return false;
    }
    const attempt: Attempt = {
      candidate,
      ticket,
      baseMs: this.#handedMs,
      baseChars,
      stream: null,
      cameBytes: 0,
      handedBytes: 0,
      words: [],
      toldCount: 0,
      spokenCount: 0,
      over: false,
    };
    this.#attempt = attempt;
    const failed = this.#lastFailed;
    if (failed !== null) {
      this.#deps.metrics.fallback(failed.name, route.name);
      this.#events.onSwitched?.(failed.name, route.name, failed.error.code);
    }
    attempt.stream = route.provider().speak(
      { ...this.#request, model: route.model, voice: route.voice },
      {
        onAudio: (audio) => {
          if (!attempt.over) this.#onAudio(attempt, audio);
        },
        onWords: (words) => {
          if (!attempt.over) this.#onWords(attempt, words);
        },
        onDone: () => {
          if (!attempt.over) this.#onDone(attempt);
        },
        onError: (error) => {
          if (!attempt.over) this.#onError(attempt, error);
        },
      },
    );
    const rest = this.#text.slice(baseChars);
    if (rest !== "") attempt.stream.push(rest);
    if (this.#finished) attempt.stream.finish();
    this.#patienceAtMs = NEVER;
    if (rest !== "") this.#waitFor(FIRST_AUDIO_PATIENCE_MS);
    return true;
  }

  #onAudio(attempt: Attempt, audio: Uint8Array): void {
    if (attempt.cameBytes === 0) attempt.ticket.succeeded();
    attempt.cameBytes += audio.length;
    // Nobody else could say the rest: nothing is held, and nothing copied.
    const isPlain = this.#heldBytes === 0 && !this.#canMoveOn();
    if (isPlain) {
      attempt.handedBytes += audio.length;
      this.#noteHanded(audio.length);
      this.#tellWords(attempt);
      this.#events.onAudio(audio);
    } else {
      this.#held.push(new Uint8Array(audio));
      this.#heldBytes += audio.length;
      this.#tellWords(attempt);
      this.#handOnWhole(attempt);
    }
    if (this.#over) return;
    this.#patienceAtMs = NEVER;
    if (this.#finished) this.#waitFor(VOICE_STALL_PATIENCE_MS);
  }

  #onWords(attempt: Attempt, words: readonly TtsWord[]): void {
    attempt.words.push(...words);
    this.#tellWords(attempt);
    if (!this.#over) this.#handOnWhole(attempt);
  }

  #onDone(attempt: Attempt): void {
    attempt.ticket.succeeded(); // also for a text without a sound
    const untold = attempt.words.slice(attempt.toldCount);
    if (untold.length > 0) this.#events.onWords(moved(untold, attempt.baseMs));
    if (!this.#over) this.#handOn(attempt, Infinity);
    if (this.#over) return;
    this.#settle();
    this.#events.onDone();
  }

  #onError(attempt: Attempt, error: LumentraError): void {
    attempt.ticket.failed(error);
    attempt.over = true;
    this.#attempt = null;
    this.#lastFailed = { name: attempt.candidate.route.name, error };
    this.#deps.onFailed(attempt.candidate.index);
    const baseChars = this.#restFrom(attempt);
    const hasSaidAll = this.#finished && attempt.cameBytes > 0 && this.#text.slice(baseChars).trim() === "";
    // What comes after the last word is its tail then, wherever the voice says that the word ends.
    if (hasSaidAll) this.#handOn(attempt, Infinity);
    this.#dropHeld(attempt);
    if (this.#over) return;
    if (hasSaidAll) {
      // Everything but "done".
      this.#settle();
      this.#events.onDone();
      return;
    }
    if (this.#askNext("fallback", baseChars)) return;
    if (!this.#hasAskedAgain && isWorthRetry(error)) {
      this.#hasAskedAgain = true;
      if (this.#ask(attempt.candidate, "retry", baseChars)) return;
    }
    const isLimited = error.code === "TTS_RATE_LIMITED";
    if (isLimited) this.#full.push({ ...attempt.candidate, wasAsked: true });
    if (!this.#awaitRoom(baseChars, isLimited ? LIMITED_PAUSE_MS : 0)) this.#failAll();
  }

  #onImpatient(): void {
    this.#patienceAtMs = NEVER;
    const attempt = this.#attempt;
    if (attempt === null || !this.#canMoveOn()) return;
    const { name } = attempt.candidate.route;
    attempt.stream?.cancel();
    this.#onError(attempt, new LumentraError("TTS_TIMEOUT", `${name} kept the caller waiting`));
  }

  /** V1. */
  #tellWords(attempt: Attempt): void {
    const { words, baseMs } = attempt;
    const cameMs = attempt.cameBytes / this.#bytesPerMs;
    while (attempt.spokenCount < words.length && words[attempt.spokenCount]!.endMs <= cameMs) {
      attempt.spokenCount += 1;
    }
    const from = attempt.toldCount;
    const throughMs = this.#canMoveOn() ? cameMs : Infinity;
    while (attempt.toldCount < words.length && words[attempt.toldCount]!.startMs <= throughMs) {
      attempt.toldCount += 1;
    }
    if (attempt.toldCount > from) this.#events.onWords(moved(words.slice(from, attempt.toldCount), baseMs));
  }

  /** Hands on to the end of the last word whose audio has all come; or everything, when the ear is near. */
  #handOnWhole(attempt: Attempt): void {
    const nowMs = this.#deps.clock.nowMs();
    const playedMs = this.#startedAtMs === null ? 0 : nowMs - this.#startedAtMs;
    const isNear = this.#handedMs - playedMs < LEAD_MS;
    const canWait = attempt.words.length > 0 && !isNear && this.#canMoveOn();
    this.#handOn(attempt, canWait ? this.#spokenBytes(attempt) : Infinity);
  }

  #handOn(attempt: Attempt, throughBytes: number): void {
    while (this.#heldBytes > 0 && attempt.handedBytes < throughBytes && !this.#over) {
      const head = this.#held[0]!;
      const length = Math.min(head.length, throughBytes - attempt.handedBytes);
      const part = length === head.length ? head : head.subarray(0, length);
      if (length === head.length) this.#held.shift();
      else this.#held[0] = head.subarray(length);
      this.#heldBytes -= length;
      attempt.handedBytes += length;
      this.#noteHanded(length);
      this.#events.onAudio(part);
    }
    this.#releaseAtMs =
      this.#heldBytes === 0 || this.#startedAtMs === null
        ? NEVER
        : this.#startedAtMs + this.#handedMs - LEAD_MS;
    this.#arm();
  }

  #noteHanded(bytes: number): void {
    this.#startedAtMs ??= this.#deps.clock.nowMs();
    this.#handedMs += bytes / this.#bytesPerMs;
  }

  /** Where in the text the first word stands that was not said. */
  #restFrom(attempt: Attempt): number {
    const { words } = attempt;
    const cameMs = attempt.cameBytes / this.#bytesPerMs;
    if (words.length > 0 && words.at(-1)!.endMs <= cameMs + ROUNDING_MS) attempt.spokenCount = words.length;
    const spoken = words.slice(0, attempt.spokenCount).map(({ word }) => word);
    const rest = restAfterWords(this.#text.slice(attempt.baseChars), spoken);
    const untimed = attempt.spokenCount < words.length ? "" : this.#saidUntimed(attempt, rest);
    return this.#text.length - rest.length + untimed.length;
  }

  /** What of this text, behind the last word that has a time, was surely said: it gets times, as good as we know them. */
  #saidUntimed(attempt: Attempt, text: string): string {
    const { words, baseMs } = attempt;
    const fromMs = words.at(-1)?.endMs ?? 0;
    // Of a voice that tells no times nothing is held.
    const throughMs = (words.length === 0 ? attempt.cameBytes : attempt.handedBytes) / this.#bytesPerMs;
    const said = text.slice(0, text.length - restAfterMs(text, throughMs - fromMs).length);
    if (said !== "") this.#events.onWords(moved(estimateWords(said, fromMs, throughMs - fromMs), baseMs));
    return said;
  }

  /** Of a word that was not said: the next voice says it. What belongs to words that were, goes on. */
  #dropHeld(attempt: Attempt): void {
    this.#handOn(attempt, attempt.words.length > 0 ? this.#spokenBytes(attempt) : Infinity);
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.#releaseAtMs = NEVER;
  }

  /** To the end of the last word whose audio has all come; whole milliseconds are whole samples. */
  #spokenBytes({ words, spokenCount }: Attempt): number {
    return spokenCount === 0 ? 0 : Math.ceil(words[spokenCount - 1]!.endMs) * this.#bytesPerMs;
  }

  #canMoveOn(): boolean {
    const { tenantId } = this.#deps;
    const mayEnter = ({ route }: Candidate): boolean => route.account.mayEnter(tenantId);
    return this.#left.some(mayEnter) || this.#full.some(mayEnter);
  }

  #waitFor(patienceMs: number): void {
    this.#patienceAtMs = this.#canMoveOn() ? this.#deps.clock.nowMs() + patienceMs : NEVER;
    this.#arm();
  }

  #failAll(): void {
    if (this.#over) return;
    const denial = this.#full.length > 0 ? "budget" : this.#lastDenial;
    const error = this.#lastFailed?.error ?? unavailable("TTS", denial);
    this.#settle();
    this.#events.onError(error);
  }

  #arm(): void {
    this.dueAtMs = this.#over ? NEVER : Math.min(this.#patienceAtMs, this.#releaseAtMs, this.#roomAtMs);
  }

  /** V3, V4. */
  #settle(): void {
    if (this.#over) return;
    this.#over = true;
    this.dueAtMs = NEVER;
    this.#deps.sweep.remove(this);
    this.#held.length = 0;
    this.#heldBytes = 0;
    const attempt = this.#attempt;
    this.#attempt = null;
    if (attempt === null) return;
    attempt.over = true;
    attempt.stream?.cancel();
    attempt.ticket.left();
  }
}

function moved(words: readonly TtsWord[], byMs: number): readonly TtsWord[] {
  if (byMs === 0) return words;
  return words.map(({ word, startMs, endMs }) => ({
    word,
    startMs: startMs + byMs,
    endMs: endMs + byMs,
  }));
}
