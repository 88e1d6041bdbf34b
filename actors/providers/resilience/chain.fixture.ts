/** Providers whose every event a test sends by hand, accounts for them, and what a chain over them told. */
import { VirtualClock, seededRandom } from "#runtime/actor";
import { type ErrorCode, LumentraError } from "#runtime/errors";
import { type TenantConfig, tenantSchema } from "#actors/tenants";
import { DueSweep } from "../due-sweep.js";
import type { ProviderKind } from "../failures.js";
import type { LlmEvents, LlmProvider, LlmRequest } from "../llm/provider.js";
import type { TtsEvents, TtsProvider, TtsRequest } from "../tts/provider.js";
import { ProviderAccounts } from "./accounts.js";

export function chainBench(ceilingOf?: (kind: ProviderKind, provider: string) => number) {
  const clock = new VirtualClock();
  const sweep = new DueSweep(clock);
  /** What was counted, in order. */
  const counted: string[] = [];
  const accounts = new ProviderAccounts({
    clock,
    random: seededRandom(1),
    notify: () => {},
    metrics: {
      breaker: (account, state) => void counted.push(`${account} ${state}`),
      denied: (account, denial, reason) => void counted.push(`${account} ${denial} ${reason}`),
    },
    ...(ceilingOf && { ceilingOf }),
  });
  const metrics = {
    fallback: (from: string, to: string) => void counted.push(`${from} -> ${to}`),
    hedge: (provider: string, result: string) => void counted.push(`hedge ${provider} ${result}`),
  };
  const inFlight = (): number => accounts.states().reduce((sum, state) => sum + state.inFlight, 0);
  return { clock, sweep, counted, accounts, metrics, inFlight };
}

export function failure(code: ErrorCode, retryAfterMs?: number): LumentraError {
  return new LumentraError(code, "scripted", {
    detail: retryAfterMs === undefined ? {} : { retryAfterMs },
  });
}

export class ScriptedLlm implements LlmProvider {
  readonly name: string;
  readonly asked: { readonly request: LlmRequest; readonly events: LlmEvents; cancelled: boolean }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get last() {
    return this.asked.at(-1)!;
  }

  generate(request: LlmRequest, events: LlmEvents) {
    const asked = { request, events, cancelled: false };
    this.asked.push(asked);
    return {
      cancel: () => {
        asked.cancelled = true;
      },
    };
  }

  warm = () => Promise.resolve();
  close = () => Promise.resolve();
}

/** What a chain told of one reply. */
export class HeardReply implements LlmEvents {
  readonly told: string[] = [];
  onText = (delta: string) => void this.told.push(delta);
  onToolCall = (call: { readonly name: string }) => void this.told.push(`tool ${call.name}`);
  onSwitched = (from: string, to: string, code: ErrorCode) => void this.told.push(`${from} ${code} ${to}`);
  onDone = (finish: string) => void this.told.push(`done ${finish}`);
  onError = (error: LumentraError) => void this.told.push(`error ${error.code}`);
}

export const REQUEST: LlmRequest = {
  callId: "call-1",
  model: "",
  messages: [],
  tools: [],
  temperature: 0,
  maxOutputTokens: 100,
};

export class ScriptedTts implements TtsProvider {
  readonly name: string;
  readonly spoken: {
    readonly request: TtsRequest;
    readonly events: TtsEvents;
    text: string;
    finished: boolean;
    cancelled: boolean;
  }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  get last() {
    return this.spoken.at(-1)!;
  }

  speak(request: TtsRequest, events: TtsEvents) {
    const speech = { request, events, text: "", finished: false, cancelled: false };
    this.spoken.push(speech);
    return {
      push: (text: string) => {
        speech.text += text;
      },
      finish: () => {
        speech.finished = true;
      },
      cancel: () => {
        speech.cancelled = true;
      },
    };
  }

  warm = () => Promise.resolve();
  close = () => Promise.resolve();
}

/** A tenant of which only what is given matters. */
export function tenantWith(fields: Readonly<Record<string, unknown>>): TenantConfig {
  return tenantSchema.parse({
    id: "test",
    name: "Test",
    industry: "dental practice",
    numbers: ["+12025550101"],
    timeZone: "Europe/Berlin",
    agentName: "Ava",
    ...fields,
  });
}
