/**
 * Says one reply at a time: a phrase (from cached audio when it is cached) or a generation, through the
 * playout. While it is heard it tells the journal how far it came, for whoever may have to go on with the
 * call; when it is over, however it ended, it writes the agent's turn into journal and history with the words
 * that were heard (J3, H1).
 */
import type { LumentraError } from "#runtime/errors";
import type { TtsProvider, TtsRequest } from "#actors/providers";
import type { Generation } from "./generation.js";
import type { History } from "./history.js";
import type { JournalFact } from "#actors/journal";
import type { JournalWriter } from "./journal-writer.js";
import type { Ledger } from "./ledger.js";
import type { Playout, PlayoutEvents } from "./playout.js";
import { ReplyProgress } from "./reply-progress.js";
import { Segment, type SwitchNote } from "./segment.js";
import type { CachedSpeech, VoiceCache } from "./voice-cache.js";

type AgentTurn = Extract<JournalFact, { kind: "agentTurn" }>;

export interface ReplyPlan {
  readonly source: AgentTurn["source"];
  readonly turn: number;
  readonly ledger: Ledger;
  /** See Playout.begin(). @default null */
  readonly queuedWords?: number | null;
  /** The first byte left for the carrier. */
  onStarted?(atMs: number): void;
  /** All of it was heard. Not called for a reply that was cut. */
  onFinished(): void;
  /** The voice failed. The reply is still active: cut it. */
  onFailed(error: LumentraError, provider: string): void;
}

export interface SpeakerDeps {
  readonly playout: Playout;
  readonly cache: VoiceCache;
  readonly tts: TtsProvider;
  readonly ttsRequest: TtsRequest;
  readonly history: History;
  readonly journal: JournalWriter;
  readonly guard: (body: () => void) => void;
  readonly onSwitched: SwitchNote;
}

interface Reply {
  readonly plan: ReplyPlan;
  intended(): string;
  /** Nothing is added to `intended` any more. */
  isWhole(): boolean;
  cancel(): void;
}

interface ActiveReply extends Reply {
  readonly progress: ReplyProgress;
  hasStarted: boolean;
}

export class Speaker {
  readonly #deps: SpeakerDeps;
  #active: ActiveReply | null = null;

  constructor(deps: SpeakerDeps) {
    this.#deps = deps;
  }

  get isSpeaking(): boolean {
    return this.#active !== null;
  }

  /** Phrases, one after the other: audio there is or that is cached, or the voice live where there is none. */
  say(phrases: readonly (string | CachedSpeech)[], plan: ReplyPlan): void {
    const texts = phrases.map((phrase) => (typeof phrase === "string" ? phrase : phrase.text));
    const { playout } = this.#deps;
    const pump = (): void => {
      for (let head = waiting[0]; head !== undefined; head = waiting[0]) {
        head.drainTo(playout);
        if (!head.isSpoken) return;
        waiting.shift();
      }
      playout.end();
    };
    const segments = phrases.map((phrase) =>
      typeof phrase === "string" ? this.#segmentOf(phrase, plan, pump) : Segment.cached(phrase),
    );
    const waiting = segments.slice();
    this.#begin({
      plan,
      intended: () => texts.join(" "),
      isWhole: () => true,
      cancel: () => {
        for (const segment of segments) segment.cancel();
      },
    });
    pump();
  }

  /** A generation that is committed; it calls `end()` when all its audio was delivered. */
  play(generation: Generation, plan: ReplyPlan): void {
    const reply = this.#begin({
      plan,
      intended: () => generation.intended,
      isWhole: () => generation.isWhole,
      cancel: () => generation.discard(),
    });
    generation.attach(this.#deps.playout, () => this.#tellProgress(reply));
  }

  /** Stops the reply now; `settled` gets the instant the carrier was told, null when it could not be. */
  cut(
    reason: NonNullable<AgentTurn["cut"]>,
    settled: (clearSentAtMs: number | null) => void = () => {},
  ): void {
    const active = this.#active;
    if (active === null) return;
    this.#active = null;
    active.cancel();
    this.#deps.playout.cut((heard, clearSentAtMs) => {
      this.#record(active, heard, reason);
      settled(clearSentAtMs);
    });
  }

  /** What there is to tell of the reply, for another owner; nothing of it is recorded or cut. */
  handOver(): void {
    const active = this.#active;
    if (active === null) return;
    this.#tellProgress(active);
    this.#active = null;
    active.cancel();
  }

  /** Whether all of what is being said is known. */
  get isWhole(): boolean {
    return this.#active?.isWhole() ?? true;
  }

  #segmentOf(text: string, plan: ReplyPlan, onProgress: () => void): Segment {
    const { cache, tts, ttsRequest, guard } = this.#deps;
    const cached = cache.get({ provider: tts.name, ...ttsRequest }, text);
    if (cached !== null) return Segment.cached(cached);
    const segment = Segment.live(tts, ttsRequest, guard, {
      onProgress,
      onSwitched: this.#deps.onSwitched,
      onFailed: (error) => plan.onFailed(error, tts.name),
    });
    segment.push(text);
    segment.finish();
    return segment;
  }

  #begin(begun: Reply): ActiveReply {
    const reply: ActiveReply = { progress: new ReplyProgress(), hasStarted: false, ...begun };
    const { playout } = this.#deps;
    this.#active = reply;
    const events: PlayoutEvents = {
      onStarted: (atMs) => {
        reply.plan.ledger.firstByteSentAtMs = atMs;
        reply.hasStarted = true;
        this.#tellProgress(reply);
        reply.plan.onStarted?.(atMs);
      },
      onMark: () => {
        const heard = playout.confirmedText;
        if (!reply.progress.isDue(heard)) return;
        // The end of all that was to be said is told by the turn itself.
        if (reply.isWhole() && heard.length >= singleSpaced(reply.intended()).length) return;
        this.#tellProgress(reply);
      },
      onFinished: () => {
        this.#active = null;
        this.#record(reply, playout.isMute ? "" : reply.intended().trim(), null);
        reply.plan.onFinished();
      },
    };
    playout.begin(events, reply.plan.turn, reply.plan.queuedWords ?? null);
    return reply;
  }

  #tellProgress(reply: ActiveReply): void {
    if (this.#active !== reply || !reply.hasStarted) return;
    const { source, turn } = reply.plan;
    this.#deps.journal.record({
      kind: "agentProgress",
      turn,
      source,
      whole: reply.isWhole(),
      pii: { intended: reply.intended().trim(), heard: this.#deps.playout.confirmedText },
    });
  }

  #record(reply: ActiveReply, heard: string, cut: AgentTurn["cut"]): void {
    const { source, turn, ledger } = reply.plan;
    this.#deps.history.addAgent(heard);
    this.#deps.journal.record({
      kind: "agentTurn",
      turn,
      source,
      cut,
      ledger: ledger.snapshot(),
      pii: { intended: reply.intended().trim(), heard },
    });
  }
}

function singleSpaced(text: string): string {
  return text.trim().split(/\s+/).join(" ");
}
