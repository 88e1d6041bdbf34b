/** Makes a reply: the request to the model, the tools it may use, and what is said while it thinks. */
import type { Clock } from "#runtime/actor";
import type { CallStart } from "#runtime/cluster";
import type { ErrorCode } from "#runtime/errors";
import type { LlmProvider, LlmRequest, LlmToolCall, TtsProvider, TtsRequest } from "#actors/providers";
import { phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import type { ToolOutcome, ToolRegistry } from "#actors/tools";
import { Generation, type GenerationEvents } from "./generation.js";
import type { History } from "./history.js";
import type { JournalWriter } from "./journal-writer.js";
import type { Ledger } from "./ledger.js";
import type { CachedSpeech, VoiceCache } from "./voice-cache.js";

/** What a reply in a resumed call needs besides the history. */
export interface ReplyAid {
  /** Said before the model's words. */
  readonly lead: string | CachedSpeech | null;
  /** For the model alone. */
  readonly note: string | null;
}

export interface RepliesDeps {
  readonly clock: Clock;
  readonly start: CallStart;
  readonly tenant: TenantConfig;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  readonly ttsRequest: TtsRequest;
  readonly tools: ToolRegistry;
  readonly cache: VoiceCache;
  readonly history: History;
  readonly journal: JournalWriter;
  /** The present turn's number. */
  readonly turn: () => number;
  readonly onSwitched: (provider: string, fallback: string, code: ErrorCode) => void;
  readonly guard: (body: () => void) => void;
}

export class Replies {
  readonly #deps: RepliesDeps;

  constructor(deps: RepliesDeps) {
    this.#deps = deps;
  }

  /** Begins a reply to `said`; `aid` is what a resumed call needs besides. */
  begin(said: string, ledger: Ledger, events: GenerationEvents, aid: ReplyAid | null): Generation {
    const { clock, tenant, llm, tts, ttsRequest, turn, onSwitched, guard } = this.#deps;
    const phrases = phrasesFor(tenant.language);
    const generation = new Generation(
      said,
      this.#request(said, aid),
      ledger,
      {
        clock,
        llm,
        tts,
        ttsRequest,
        filler: () => this.#cached(phrases.fillers[turn() % phrases.fillers.length]!),
        goodbye: () => this.#cached(phrases.goodbye),
        guard,
        onSwitched,
        runTool: (call) => this.#runTool(call),
      },
      events,
    );
    if (typeof aid?.lead === "string") generation.lead(this.#cached(aid.lead) ?? aid.lead);
    else if (aid?.lead) generation.lead(aid.lead);
    return generation;
  }

  #request(said: string, aid: ReplyAid | null): LlmRequest {
    const { start, tenant, tools, history } = this.#deps;
    const messages = history.messages(said);
    if (aid?.note) messages.push({ role: "system", content: aid.note });
    return {
      callId: start.callId,
      model: tenant.llm.model,
      messages,
      tools: tools.offered(tenant.tools),
      temperature: tenant.llm.temperature,
      maxOutputTokens: tenant.llm.maxOutputTokens,
    };
  }

  async #runTool(call: LlmToolCall): Promise<ToolOutcome> {
    const { clock, start, tenant, tools, journal, turn } = this.#deps;
    const startedAtMs = clock.nowMs();
    const outcome = await tools.run(call, tenant.tools, { tenant, clock, callId: start.callId });
    journal.record({
      kind: "toolCalled",
      turn: turn(),
      tool: call.name,
      ok: outcome.ok,
      durationMs: clock.nowMs() - startedAtMs,
      pii: { argumentsJson: call.argumentsJson, result: outcome.text },
    });
    return outcome;
  }

  #cached(text: string): CachedSpeech | null {
    const { cache, tts, ttsRequest } = this.#deps;
    return cache.get({ provider: tts.name, ...ttsRequest }, text);
  }
}
