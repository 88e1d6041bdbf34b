/**
 * Plays a caller's part from a list of steps. A step that does not come true ends the script with its reason;
 * the call is then hung up, so that nobody is left on the line.
 */
import { LumentraError } from "#runtime/errors";
import type { PhoneCall } from "./phone-call.js";
import type { PhoneCallResult } from "./phone-types.js";

export type ScriptStep =
  /** Until the agent has spoken since the caller last did, and fallen silent. */
  | { readonly kind: "waitForAgent"; readonly timeoutMs?: number; readonly quietMs?: number }
  | { readonly kind: "say"; readonly text: string }
  /** Say it when this much of the agent's next (or current) speech has been played. */
  | { readonly kind: "bargeIn"; readonly afterMs: number; readonly text: string }
  | { readonly kind: "dtmf"; readonly digits: string }
  | { readonly kind: "silence"; readonly ms: number }
  /** Until the caller has heard these words, in this order, since they last spoke. */
  | { readonly kind: "waitForWords"; readonly words: string; readonly timeoutMs?: number }
  | { readonly kind: "hangUp" }
  | { readonly kind: "waitForAgentToHangUp"; readonly timeoutMs?: number };

export interface ScriptReport {
  readonly result: PhoneCallResult;
  /** Null when every step came true. */
  readonly failure: { readonly stepIndex: number; readonly step: ScriptStep; readonly reason: string } | null;
}

const STEP_TIMEOUT_MS = 30_000;

/** Always hangs up in the end; never rejects for what the agent does or does not do. */
export async function runScript(call: PhoneCall, steps: readonly ScriptStep[]): Promise<ScriptReport> {
  let failure: ScriptReport["failure"] = null;
  for (const [stepIndex, step] of steps.entries()) {
    try {
      await runStep(call, step);
    } catch (error) {
      if (!(error instanceof LumentraError)) throw error;
      failure = { stepIndex, step, reason: error.message };
      break;
    }
  }
  call.hangUp();
  return { result: await call.ended, failure };
}

async function runStep(call: PhoneCall, step: ScriptStep): Promise<void> {
  const sinceMs = call.said.at(-1)?.endedAtMs ?? 0;
  switch (step.kind) {
    case "waitForAgent":
      return call.waitForReply(sinceMs, step.timeoutMs ?? STEP_TIMEOUT_MS, step.quietMs);
    case "say":
      await call.say(step.text);
      return;
    case "bargeIn":
      await call.waitForAgentSpeech(sinceMs, step.afterMs, STEP_TIMEOUT_MS);
      await call.say(step.text);
      return;
    case "dtmf":
      call.dtmf(step.digits);
      return;
    case "silence":
      return wait(call, step.ms);
    case "waitForWords":
      return call.waitForHeard(() => contains(call.heardText(sinceMs), step.words), step.timeoutMs);
    case "hangUp":
      call.hangUp();
      await call.ended;
      return;
    case "waitForAgentToHangUp":
      return waitForEnd(call, step.timeoutMs ?? STEP_TIMEOUT_MS);
  }
}

/** Letters and digits only, so that punctuation and case do not matter. */
function contains(heard: string, words: string): boolean {
  const plain = (text: string): string =>
    ` ${text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, " ")
      .trim()} `;
  return plain(heard).includes(plain(words));
}

/** A stretch of the call's own time. The call's end during it is a failure of the step. */
async function wait(call: PhoneCall, ms: number): Promise<void> {
  const startedAtMs = call.nowMs();
  await call.waitUntil(`${ms} ms`, ms + STEP_TIMEOUT_MS, () => call.nowMs() - startedAtMs >= ms);
}

async function waitForEnd(call: PhoneCall, timeoutMs: number): Promise<void> {
  let timedOut = false;
  const giveUp = call.setTimer(timeoutMs, () => {
    timedOut = true;
    call.hangUp();
  });
  const { outcome } = await call.ended;
  giveUp.cancel();
  if (timedOut)
    throw new LumentraError("CALLER_WAIT_TIMEOUT", `The agent did not hang up in ${timeoutMs} ms`);
  if (outcome.kind === "agentHungUp") return;
  throw new LumentraError("CALLER_CALL_ENDED", `The call ended (${outcome.kind}), not by the agent`);
}
