/**
 * One simulated call, from the webhook to the hang-up: it holds the media stream while there is one, and lets a
 * test or a script talk and listen. What the node's markup says is run by markup-runner.
 *
 * P1 `ended` resolves exactly once, whatever happens; after it no timer and no socket of the call is left.
 * P2 every wait has a timeout, and all of them are rejected when the call ends.
 * P3 instants are Clock.nowMs(); audio positions count from the first stream's origin, across streams.
 */
import type { TimerHandle } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { CallIds } from "./carrier.js";
import type { HeardWord } from "./ear.js";
import { encodeSpeech } from "./encoded-speech.js";
import type { LineImpairments } from "./line.js";
import type { MarkupVerb } from "./markup.js";
import { runMarkup } from "./markup-runner.js";
import { MediaLeg } from "./media-leg.js";
import type { MediaSocket } from "./media-socket.js";
import type { Violation } from "./outbound.js";
import {
  type PhoneCallOptions,
  type PhoneCallResult,
  type PhoneCallStats,
  type PhoneEvent,
  type PhoneOutcome,
  type SaidUtterance,
  newStats,
} from "./phone-types.js";
import type { Spurt } from "./playout.js";
import { CallRecording } from "./recording.js";
import { Waits } from "./waits.js";

/** Heard words kept; two hours of talk. */
const HEARD_WORDS_MAX = 20_000;
/** Default of every wait. */
const WAIT_TIMEOUT_MS = 30_000;
/** Default of "the agent has finished": longer than its pauses between sentences. */
const QUIET_MS = 700;
/** A phone whose frame is later than this had no processor, and nobody listened to the silence before it. */
const FRAME_LISTENED_MAX_MS = 100;
/** Silence that goes on for so long after that was silence before it, too. */
const LISTENED_AGAIN_MS = 1_000;

export class PhoneCall {
  readonly callSid: string;
  readonly ended: Promise<PhoneCallResult>;
  /** Resolves when the first media stream has started, or the call has ended without one. */
  readonly started: Promise<void>;
  /** Words that were understood, in order. */
  readonly heard: HeardWord[] = [];
  readonly said: SaidUtterance[] = [];
  readonly violations: Violation[] = [];
  /** What the node's markup told the carrier to do, in order. */
  readonly verbs: MarkupVerb[] = [];
  readonly recording: CallRecording | null;
  readonly stats: PhoneCallStats = newStats();
  readonly #options: PhoneCallOptions;
  readonly #accountSid: string;
  readonly #listeners = new Set<(event: PhoneEvent) => void>();
  readonly #waits: Waits;
  readonly #pastSpurts: Spurt[] = [];
  readonly #dialledAtMs: number;
  #originMs = 0;
  #leg: MediaLeg | null = null;
  #agentPlaying = false;
  /** How long the agent has been silent, and how much of it this phone listened to. */
  #silentMs = 0;
  #silenceHeardMs = 0;
  /** How long it has listened without standing still. */
  #listenedMs = 0;
  #lastFrameAtMs: number;
  #outcome: PhoneOutcome | null = null;
  /** What the caller did, while the socket's close is on its way. */
  #ending: PhoneOutcome | null = null;
  #resolveStarted!: () => void;
  /** What is being said, or waits to be: told so when its line is gone and another is there. */
  readonly #cutOff = new Set<(nowMs: number) => void>();
  #mediaListeners: ((nowMs: number, sampleCount: number, aheadMs: number) => void)[] = [];

  constructor(options: PhoneCallOptions) {
    this.#options = options;
    this.#waits = new Waits(options.clock);
    this.#accountSid = options.dialect.newAccountSid();
    this.callSid = options.dialect.newCallSid();
    this.recording = options.record ? new CallRecording() : null;
    this.#dialledAtMs = options.clock.nowMs();
    this.#lastFrameAtMs = this.#dialledAtMs;
    this.started = new Promise((resolve) => {
      this.#resolveStarted = resolve;
    });
    this.ended = this.#run();
  }

  /** Calls back for everything that happens; returns the function that ends it. */
  on(listener: (event: PhoneEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls back for every piece of agent audio: how much, and how far ahead of the playout it came. */
  onMedia(listener: (nowMs: number, sampleCount: number, aheadMs: number) => void): void {
    this.#mediaListeners.push(listener);
  }

  /** Null while the call lasts. */
  get outcome(): PhoneOutcome | null {
    return this.#outcome;
  }

  /** The current media stream, for tests that look closer; null between the loss of one and the next. */
  get leg(): MediaLeg | null {
    return this.#leg;
  }

  /** Stretches of agent speech so far, as played. */
  get spurts(): readonly Spurt[] {
    return this.#leg === null ? this.#pastSpurts : [...this.#pastSpurts, ...this.#leg.playout.spurts];
  }

  /** Whether agent audio is being played now. */
  get agentPlaying(): boolean {
    return this.#leg?.playout.isPlaying(this.#now()) ?? false;
  }

  /** Words played since an instant, in one line. */
  heardText(sinceMs = 0): string {
    return this.heard
      .filter((word) => word.playedAtMs >= sinceMs)
      .map((word) => word.word)
      .join(" ");
  }

  /**
   * Says it after what is already being said; resolves when its last speech sample was sent, or never will be.
   * `leadSamples` of silence come first, below a frame's 160: nobody's speech keeps to frames.
   */
  say(text: string, { leadSamples = 0 }: { readonly leadSamples?: number } = {}): Promise<SaidUtterance> {
    const leg = this.#leg;
    if (leg === null) return Promise.reject(this.#gone("say something"));
    return new Promise((resolve, reject) => {
      let startedAtMs = 0;
      const pending = this.#waits.hold(reject);
      const accepted = leg.say({
        speech: encodeSpeech(this.#options.voice, text, leadSamples),
        onStarted: (sentAtMs) => {
          startedAtMs = sentAtMs;
          this.#emit({ kind: "saying", text, atMs: sentAtMs });
        },
        onEnded: (endedAtMs, intendedEndAtMs) => {
          const utterance = { text, startedAtMs, endedAtMs, intendedEndAtMs, isCutOff: false };
          this.said.push(utterance);
          this.#cutOff.delete(cutOff);
          pending.release();
          this.#emit({ kind: "said", utterance });
          resolve(utterance);
        },
      });
      const cutOff = (nowMs: number): void => {
        pending.release();
        resolve({ text, startedAtMs, endedAtMs: nowMs, intendedEndAtMs: nowMs, isCutOff: true });
      };
      if (accepted) {
        this.#cutOff.add(cutOff);
        return;
      }
      pending.release();
      reject(new LumentraError("CALLER_BUSY", "Too many utterances wait to be said"));
    });
  }

  /** Presses keys, five a second. */
  dtmf(digits: string): void {
    this.#leg?.dtmf(digits);
  }

  /** Nothing reaches the node for this long, then everything at once. */
  stallLine(durationMs: number): void {
    this.#leg?.stall(durationMs);
  }

  /** `stop`, then close. Idempotent; see `ended`. */
  hangUp(): void {
    this.#end({ kind: "callerHungUp" }, (leg) => leg.hangUp());
  }

  /** The media socket breaks without a `stop`; the call lives, and the carrier goes on with the markup. */
  cutMedia(): void {
    this.#leg?.drop();
  }

  /** The line is gone, without a `stop`. */
  dropLine(): void {
    this.#end({ kind: "dropped" }, (leg) => leg.drop());
  }

  /** Resolves when a word makes the predicate true; it sees all words heard since the call began. */
  waitForHeard(
    predicate: (text: string, words: readonly HeardWord[]) => boolean,
    timeoutMs: number = WAIT_TIMEOUT_MS,
  ): Promise<void> {
    const holds = (): boolean => predicate(this.heardText(), this.heard);
    let checkedWords = -1;
    return this.waitUntil("the expected words", timeoutMs, () => {
      if (checkedWords === this.heard.length) return false;
      checkedWords = this.heard.length;
      return holds();
    });
  }

  /** Resolves when the agent has been silent for this long. */
  waitForSilence(silenceMs: number, timeoutMs: number = WAIT_TIMEOUT_MS): Promise<void> {
    return this.waitUntil(`${silenceMs} ms of silence`, timeoutMs, () => this.#silentForMs() >= silenceMs);
  }

  /** Resolves when the agent has begun to speak after `sinceMs` and this much of it was played. */
  waitForAgentSpeech(sinceMs: number, playedMs: number, timeoutMs: number = WAIT_TIMEOUT_MS): Promise<void> {
    return this.waitUntil(`${playedMs} ms of agent speech`, timeoutMs, () => {
      const spurt = this.#leg?.playout.spurts.find((spurt) => spurt.startedAtMs >= sinceMs);
      return spurt !== undefined && this.#now() - spurt.startedAtMs >= playedMs;
    });
  }

  /**
   * Resolves when the agent has spoken after `sinceMs` and fallen silent. Speech that was under way then counts,
   * unless it was cut: an agent that talks on over an "uh-huh" has answered it.
   */
  waitForReply(sinceMs: number, timeoutMs: number = WAIT_TIMEOUT_MS, quietMs = QUIET_MS): Promise<void> {
    return this.waitUntil("the agent's reply", timeoutMs, () => {
      const spoke = this.spurts.some(
        (spurt) => spurt.startedAtMs >= sinceMs || (spurt.endedAtMs > sinceMs && !spurt.cut),
      );
      return spoke && this.#silentForMs() >= quietMs;
    });
  }

  /** Resolves once the condition holds; looked at after every frame and event. */
  waitUntil(what: string, timeoutMs: number, condition: () => boolean): Promise<void> {
    if (this.#outcome !== null) return Promise.reject(this.#gone(`wait for ${what}`));
    return this.#waits.until(what, timeoutMs, condition);
  }

  /** The call's clock, for scripts. */
  nowMs(): number {
    return this.#now();
  }

  /** A timer on the call's clock, for scripts. */
  setTimer(delayMs: number, callback: () => void): TimerHandle {
    return this.#options.clock.setTimer(delayMs, callback);
  }

  /** Runs the call to its end; never rejects. */
  async #run(): Promise<PhoneCallResult> {
    const outcome = await runMarkup({
      ...this.#options,
      ids: { accountSid: this.#accountSid, callSid: this.callSid },
      onVerb: (verb) => {
        this.verbs.push(verb);
        this.#emit({ kind: "verb", verb });
      },
      onWebhookAnswered: (durationMs) => {
        this.stats.webhookMs = durationMs;
      },
      onPlayedWord: (word, understood) => this.#onWord(word, understood),
      ended: () => this.#ending,
      openStream: (socket, ids, parameters) => this.#openLeg(socket, ids, parameters),
      closeStream: () => this.#closeLeg(),
    });
    return this.#settle(this.#ending ?? outcome);
  }

  #openLeg(socket: MediaSocket, ids: CallIds, parameters: Readonly<Record<string, string>>): MediaLeg {
    const { dialect, clock, random, line } = this.#options;
    const leg = new MediaLeg(
      {
        dialect,
        ids,
        clock,
        random,
        // A second stream of the call is a new line: what was planned for the first has happened.
        line: this.stats.streamCount === 0 ? line : withoutStall(line),
        recording: this.recording,
        transport: socket,
        listener: {
          onWord: (word, understood) => this.#onWord(word, understood),
          onMedia: (nowMs, sampleCount, aheadMs) => this.#onMedia(nowMs, sampleCount, aheadMs),
          onCleared: (atMs) => this.#emit({ kind: "cleared", atMs }),
          onDtmf: (digit) => this.#emit({ kind: "agentDtmf", digit }),
          onViolation: (violation) => {
            this.violations.push(violation);
            this.#emit({ kind: "violation", violation });
          },
          onFrame: (nowMs) => this.#onFrame(nowMs),
        },
      },
      parameters,
    );
    for (const cutOff of this.#cutOff) cutOff(clock.nowMs());
    this.#cutOff.clear();
    if (this.stats.streamCount === 0) this.#originMs = leg.originMs;
    else this.recording?.padTo(leg.originMs - this.#originMs);
    this.stats.streamCount++;
    this.#leg = leg;
    this.#lastFrameAtMs = leg.originMs;
    this.#emit({ kind: "streamStarted", atMs: clock.nowMs() });
    this.#resolveStarted();
    return leg;
  }

  #closeLeg(): void {
    const leg = this.#leg;
    if (leg === null) return;
    const nowMs = this.#now();
    leg.closed();
    this.stats.unplayedMs += Math.max(0, leg.playout.tailMs - nowMs);
    for (const spurt of leg.playout.spurts) {
      this.#pastSpurts.push(spurt);
      this.stats.underrunCount += spurt.underrunCount;
      this.stats.underrunMs += spurt.underrunMs;
    }
    this.stats.framesSent += leg.framesSent;
    this.stats.framesLost += leg.line.lostFrames + leg.line.droppedMessages;
    this.stats.messagesReceived += leg.messagesReceived;
    this.stats.samplesDiscarded += leg.playout.discardedSamples;
    this.stats.marksEchoed += leg.marksEchoed;
    this.stats.clears += leg.playout.clearCount;
    this.stats.violations += leg.violationCount;
    this.#leg = null;
    if (this.#agentPlaying) this.#emit({ kind: "agentStopped", atMs: nowMs });
    this.#agentPlaying = false;
  }

  #onWord(word: HeardWord, understood: boolean): void {
    if (!understood) {
      this.stats.brokenWords++;
      return;
    }
    if (this.heard.length === HEARD_WORDS_MAX) this.heard.shift();
    const offsetMs = this.#leg === null ? 0 : this.#leg.originMs - this.#originMs;
    const onCallTimeline =
      offsetMs === 0 ? word : { ...word, startMs: word.startMs + offsetMs, endMs: word.endMs + offsetMs };
    this.heard.push(onCallTimeline);
    this.#emit({ kind: "word", word: onCallTimeline });
    this.#waits.check();
  }

  #onMedia(nowMs: number, sampleCount: number, aheadMs: number): void {
    this.stats.samplesReceived += sampleCount;
    this.stats.firstAudioMs ??= nowMs - this.#dialledAtMs;
    if (!this.#agentPlaying) {
      this.#agentPlaying = true;
      this.#emit({ kind: "agentStarted", atMs: nowMs });
    }
    for (const listener of this.#mediaListeners) listener(nowMs, sampleCount, aheadMs);
  }

  #onFrame(nowMs: number): void {
    const frameMs = nowMs - this.#lastFrameAtMs;
    this.#lastFrameAtMs = nowMs;
    const playing = this.#leg?.playout.isPlaying(nowMs) ?? false;
    const silentMs = Math.min(frameMs, nowMs - (this.#leg?.playout.tailMs ?? nowMs));
    const isLate = frameMs > FRAME_LISTENED_MAX_MS;
    // What it listened to before it stood still says nothing; one that is always late has nothing else to go by.
    if (playing || (isLate && this.#listenedMs > 0)) this.#silenceHeardMs = 0;
    if (!playing) this.#silenceHeardMs += Math.min(silentMs, FRAME_LISTENED_MAX_MS);
    this.#silentMs = playing ? 0 : this.#silentMs + silentMs;
    this.#listenedMs = isLate ? 0 : this.#listenedMs + frameMs;
    if (!playing && this.#agentPlaying) {
      this.#agentPlaying = false;
      this.#emit({ kind: "agentStopped", atMs: this.#leg?.playout.tailMs ?? nowMs });
    }
    this.#waits.check();
  }

  #silentForMs(): number {
    if (this.agentPlaying) return 0;
    return this.#listenedMs < LISTENED_AGAIN_MS ? this.#silenceHeardMs : this.#silentMs;
  }

  #end(outcome: PhoneOutcome, act: (leg: MediaLeg) => void): void {
    if (this.#outcome !== null || this.#ending !== null) return;
    this.#ending = outcome;
    if (this.#leg !== null) act(this.#leg);
  }

  #settle(outcome: PhoneOutcome): PhoneCallResult {
    this.#closeLeg();
    this.#outcome = outcome;
    this.#resolveStarted();
    this.#waits.rejectAll(this.#gone("wait any longer"));
    this.#emit({ kind: "ended", outcome });
    return {
      callSid: this.callSid,
      outcome,
      durationMs: this.#now() - this.#dialledAtMs,
      said: this.said,
      heard: this.heard,
      spurts: this.#pastSpurts,
      verbs: this.verbs,
      violations: this.violations,
      stats: this.stats,
      recording: this.recording,
    };
  }

  #gone(what: string): LumentraError {
    const why = this.#outcome === null ? "no stream is open" : `the call ended (${this.#outcome.kind})`;
    return new LumentraError("CALLER_CALL_ENDED", `Cannot ${what}: ${why}`);
  }

  #emit(event: PhoneEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #now(): number {
    return this.#options.clock.nowMs();
  }
}

function withoutStall(line: LineImpairments): LineImpairments {
  const { stall: _, ...rest } = line;
  return rest;
}
