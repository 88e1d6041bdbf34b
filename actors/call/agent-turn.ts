/**
 * What the agent says, as turns: the words that the caller may be answering, what of them the carrier has from another
 * owner, and what happens once they were heard.
 *
 *   say, play ──> spoken (Speaker) ──heard──> the floor is free, or the call ends, or what failed is told
 *   takeUp: goes on from          └──cut──> told as a barge-in when it is known what was heard
 */
import type { LumentraError } from "#runtime/errors";
import type { CallCounters } from "./counters.js";
import type { CallerTurn } from "./caller-turn.js";
import type { EchoWords } from "./echo-words.js";
import type { Generation, Shortfall } from "./generation.js";
import type { JournalWriter } from "./journal-writer.js";
import { Ledger } from "./ledger.js";
import type { ReplySource } from "./reply-progress.js";
import type { ReplyPlan, Speaker } from "./speaker.js";
import type { CachedSpeech } from "./voice-cache.js";

export interface AgentTurnDeps {
  readonly speaker: Pick<Speaker, "say" | "play" | "cut" | "handOver">;
  readonly counters: Pick<CallCounters, "replyStarted" | "bargeIn">;
  readonly journal: JournalWriter;
  /** The agent's last words were heard. */
  readonly onAgentEnds: () => void;
  onProviderFailed(error: LumentraError, provider: string): void;
}

/** How phrases are said. */
export interface Saying {
  readonly source: ReplySource;
  readonly ledger?: Ledger;
  /** The call ends once they were heard. @default false */
  readonly endsCall?: boolean;
  /** What the caller says next answers them, and not what was said before. @default true */
  readonly isAnswered?: boolean;
  /** The first byte left for the carrier, in place of being counted as a reply. */
  readonly onStarted?: ((atMs: number) => void) | undefined;
}

export class AgentTurn {
  readonly #deps: AgentTurnDeps;
  readonly #callerTurn: Pick<CallerTurn, "number">;
  readonly #echo: Pick<EchoWords, "onSilent">;
  /** It was heard, and the floor is free. */
  readonly #onHeard: () => void;
  #text = "";
  /** Of the next reply: what of it the carrier is playing already. */
  #queuedWords: number | null = null;
  #onFirstAudio: ((atMs: number) => void) | null = null;
  /** What is being said ends the call once it was heard. */
  #endsCall = false;
  /** What kept it from its end: told once it was heard. */
  #shortfall: Shortfall | null = null;

  constructor(
    deps: AgentTurnDeps,
    callerTurn: Pick<CallerTurn, "number">,
    echo: Pick<EchoWords, "onSilent">,
    onHeard: () => void,
  ) {
    this.#deps = deps;
    this.#callerTurn = callerTurn;
    this.#echo = echo;
    this.#onHeard = onHeard;
  }

  /** What the caller may be answering. */
  get text(): string {
    return this.#text;
  }

  /** Another owner's words, and so many of the next reply's that the carrier is playing. Before anything is said. */
  takeUp(text: string, queuedWords: number | null, onFirstAudio: (atMs: number) => void): void {
    this.#text = text;
    this.#queuedWords = queuedWords;
    this.#onFirstAudio = onFirstAudio;
  }

  /** The next reply is not the one that another owner had begun. */
  forgetQueued(): void {
    this.#queuedWords = null;
  }

  say(phrases: readonly (string | CachedSpeech)[], saying: Saying): void {
    const { source, ledger = new Ledger(), endsCall = false, isAnswered = true, onStarted } = saying;
    if (isAnswered) this.#text = textOf(phrases);
    const plan = this.#begin(source, ledger, endsCall);
    this.#deps.speaker.say(phrases, onStarted === undefined ? plan : { ...plan, onStarted });
  }

  /** A generation that is committed; `onDone` follows. */
  play(generation: Generation): void {
    this.#deps.speaker.play(generation, this.#begin("model", generation.ledger, false));
  }

  /** The generation that is played is whole: this is what it says. */
  onDone(text: string, endsCall: boolean, shortfall: Shortfall | null): void {
    this.#text = text;
    this.#endsCall = endsCall;
    this.#shortfall = shortfall;
  }

  /** Last words: `after` runs when they were heard, `onFailed` when they cannot be. */
  sayLast(phrases: readonly (string | CachedSpeech)[], after: () => void, onFailed: () => void): void {
    const plan = {
      source: "prompt",
      turn: this.#callerTurn.number,
      ledger: new Ledger(),
      // The rest of what another owner was saying goes on from what the carrier has; other words do not.
      queuedWords: typeof phrases[0] === "string" ? null : this.#takeQueued(),
      onFinished: after,
      onFailed,
    } as const;
    this.#deps.speaker.say(phrases, plan);
  }

  /** The caller interrupts; `settled` runs when it is known what he had heard. */
  interrupt(decidedAtMs: number, settled: () => void): void {
    const { speaker, journal, counters } = this.#deps;
    const turn = this.#callerTurn.number;
    speaker.cut("bargeIn", (clearSentAtMs) => {
      journal.record({ kind: "bargeIn", turn, decidedAtMs, clearSentAtMs });
      counters.bargeIn(decidedAtMs, clearSentAtMs);
      settled();
    });
    this.#echo.onSilent();
  }

  /** What is being said, if anything, is not wanted any more. */
  close(cut: "legEnded" | "failed"): void {
    this.#deps.speaker.cut(cut);
  }

  /** Another owner goes on with it. */
  handOver(): void {
    this.#deps.speaker.handOver();
  }

  #begin(source: ReplySource, ledger: Ledger, endsCall: boolean): ReplyPlan {
    this.#endsCall = endsCall;
    this.#shortfall = null;
    return {
      source,
      turn: this.#callerTurn.number,
      ledger,
      queuedWords: this.#takeQueued(),
      onStarted: (atMs) => {
        this.#deps.counters.replyStarted(ledger.snapshot());
        this.#onFirstAudio?.(atMs);
        this.#onFirstAudio = null;
      },
      onFinished: () => this.#onFinished(),
      onFailed: (error, provider) => this.#deps.onProviderFailed(error, provider),
    };
  }

  #takeQueued(): number | null {
    const queued = this.#queuedWords;
    this.#queuedWords = null;
    return queued;
  }

  #onFinished(): void {
    const shortfall = this.#shortfall;
    this.#echo.onSilent();
    if (shortfall !== null) this.#deps.onProviderFailed(shortfall.error, shortfall.provider);
    else if (this.#endsCall) this.#deps.onAgentEnds();
    else this.#onHeard();
  }
}

function textOf(phrases: readonly (string | CachedSpeech)[]): string {
  return phrases.map((phrase) => (typeof phrase === "string" ? phrase : phrase.text)).join(" ");
}
