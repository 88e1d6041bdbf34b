/**
 * Says one reply at a time: a phrase (from cached audio when it is cached) or a generation, through the
 * playout. When a reply is over, however it ended, it writes the agent's turn into journal and history with
 * the words that were heard (J3, H1).
 */
import type { LumentraError } from "#runtime/errors";
import type { TtsProvider, TtsRequest } from "#actors/providers";
import type { Generation } from "./generation.js";
import type { History } from "./history.js";
import type { JournalFact } from "#actors/journal";
import type { JournalWriter } from "./journal-writer.js";
import type { Ledger } from "./ledger.js";
import type { Playout } from "./playout.js";
import { Segment } from "./segment.js";
import type { VoiceCache } from "./voice-cache.js";

type AgentTurn = Extract<JournalFact, { kind: "agentTurn" }>;

export interface ReplyPlan {
  readonly source: AgentTurn["source"];
  readonly turn: number;
  readonly ledger: Ledger;
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
}

interface ActiveReply {
  readonly plan: ReplyPlan;
  intended(): string;
  cancel(): void;
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

  /** A phrase: cached audio, or the voice live when there is none. */
  say(text: string, plan: ReplyPlan): void {
    const { cache, tts, ttsRequest, playout, guard } = this.#deps;
    const cached = cache.get({ ...ttsRequest, provider: tts.name }, text);
    let segment: Segment;
    if (cached === null) {
      const pump = (): void => {
        segment.drainTo(playout);
        if (segment.isSpoken) playout.end();
      };
      segment = Segment.live(tts, ttsRequest, guard, {
        onProgress: pump,
        onFailed: (error) => plan.onFailed(error, tts.name),
      });
    } else {
      segment = Segment.cached(cached);
    }
    this.#begin({ plan, intended: () => text, cancel: () => segment.cancel() });
    if (cached === null) {
      segment.push(text);
      segment.finish();
    } else {
      segment.drainTo(playout);
      playout.end();
    }
  }

  /** A generation that is committed; it calls `end()` when all its audio was delivered. */
  play(generation: Generation, plan: ReplyPlan): void {
    this.#begin({ plan, intended: () => generation.intended, cancel: () => generation.discard() });
    generation.attach(this.#deps.playout);
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

  #begin(reply: ActiveReply): void {
    this.#active = reply;
    this.#deps.playout.begin({
      onStarted: (atMs) => {
        reply.plan.ledger.firstByteSentAtMs = atMs;
        reply.plan.onStarted?.(atMs);
      },
      onFinished: () => {
        this.#active = null;
        this.#record(reply, reply.intended().trim(), null);
        reply.plan.onFinished();
      },
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
