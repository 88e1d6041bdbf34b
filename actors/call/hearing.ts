/** Opens the call's recogniser and hands what it hears to the listener, then to the turn. */
import type { Clock } from "#runtime/actor";
import type { CallStart } from "#runtime/cluster";
import type { ErrorCode, LumentraError } from "#runtime/errors";
import type { SttProvider, SttStream } from "#actors/providers";
import type { TenantConfig } from "#actors/tenants";
import type { Listener } from "./listener.js";

export interface HearingDeps {
  readonly clock: Clock;
  readonly start: CallStart;
  readonly tenant: TenantConfig;
  readonly stt: SttProvider;
  readonly listener: Listener;
  readonly guard: (body: () => void) => void;
  /** What was heard has changed. */
  readonly onHeard: () => void;
  /** The recogniser's own early word on the end of the turn. */
  readonly onEagerEndOfTurn: () => void;
  readonly onSwitched: (from: string, to: string, code: ErrorCode) => void;
  readonly onFailed: (error: LumentraError) => void;
}

export function openHearing(deps: HearingDeps): SttStream {
  const { clock, start, tenant, stt, listener, guard, onHeard } = deps;
  const request = {
    callId: start.callId,
    model: tenant.stt.model,
    language: tenant.language,
    format: start.format,
    keyterms: tenant.keyterms,
  };
  const heard = (note: () => void): void =>
    guard(() => {
      note();
      onHeard();
    });
  return stt.open(request, {
    onInterim: (transcript) => heard(() => listener.onInterim(transcript, clock.nowMs())),
    onFinal: (transcript, endOfSpeech) =>
      heard(() => listener.onFinal(transcript, endOfSpeech, clock.nowMs())),
    onSpeechStarted: () => {}, // our own voice activity is earlier
    onEagerEndOfTurn: (transcript) =>
      heard(() => {
        listener.onInterim(transcript, clock.nowMs());
        deps.onEagerEndOfTurn();
      }),
    onSwitched: (from, to, code) => guard(() => deps.onSwitched(from, to, code)),
    onTurnResumed: () => {}, // the transcript that follows discards what was begun
    onError: (error) => guard(() => deps.onFailed(error)),
  });
}
