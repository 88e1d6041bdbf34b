/** A journal event as one line for people. */
import type { JournalEvent } from "./journal.js";

const TEXT_CHARS_MAX = 160;

export function describeJournalEvent(event: JournalEvent): string {
  switch (event.kind) {
    case "callStarted":
      return `call started: ${event.tenantId}, over ${event.carrier}`;
    case "callerTurn":
      return `turn ${event.turn}: the caller said ${quote(event.pii.said)}`;
    case "callerProgress":
      return event.isOpen
        ? `turn ${event.turn}: so far the caller said ${quote(event.pii.said)}`
        : `turn ${event.turn}: an answer is being prepared to ${quote(event.pii.said)}`;
    case "agentTurn": {
      const delay =
        event.ledger.voiceToVoiceMs === null ? "" : `, ${Math.round(event.ledger.voiceToVoiceMs)} ms after`;
      const who = `turn ${event.turn}: the agent (${event.source}${delay})`;
      if (event.cut === null) return `${who} said ${quote(event.pii.heard)}`;
      const why =
        event.cut === "bargeIn" ? "a barge-in" : event.cut === "legEnded" ? "the hang-up" : "a failure";
      return `${who} was cut by ${why}: of ${quote(event.pii.intended)} the caller heard ${quote(event.pii.heard)}`;
    }
    case "bargeIn": {
      const tookMs = event.clearSentAtMs === null ? null : event.clearSentAtMs - event.decidedAtMs;
      return `turn ${event.turn}: barge-in${tookMs === null ? "" : `, clear sent ${tookMs.toFixed(1)} ms after the decision`}`;
    }
    case "bargeInRejected":
      return `turn ${event.turn}: not a barge-in (${event.reason})`;
    case "eagerDiscarded":
      return `turn ${event.turn}: a reply begun early was thrown away, the caller went on`;
    case "toolCalled": {
      const result = `${event.ok ? "" : "failed: "}${clip(event.pii.result)}`;
      return `turn ${event.turn}: tool ${event.tool}(${clip(event.pii.argumentsJson)}) in ${Math.round(event.durationMs)} ms: ${result}`;
    }
    case "dtmf":
      return `key ${event.pii.digit}`;
    case "providerFailed":
      return `${event.provider} failed: ${event.code}${event.fallback === null ? "" : `, ${event.fallback} goes on`}`;
    case "messageOffered":
      return `the caller was asked for a message (${event.code})`;
    case "messageTaken": {
      const seconds = `${Math.round(event.durationMs / 1_000)} s`;
      const whole = event.audioConfirmed ? "" : ", its last second may be missing";
      const where = event.audioFile === null ? "" : `, audio in ${event.audioFile}${whole}`;
      return `a message was taken (${seconds}${where}): ${quote(event.pii.transcript)}`;
    }
    case "agentProgress":
      return `turn ${event.turn}: heard so far ${quote(event.pii.heard)}`;
    case "legLost":
      return "the media leg was lost";
    case "callResumed":
      return `${event.nodeId} goes on with the call after ${Math.round(event.gapMs)} ms (${event.reason})`;
    default: {
      // callEnded: with any other kind left the next line would not compile.
      const code = "code" in event.outcome ? ` ${event.outcome.code}` : "";
      return `call ended: ${event.outcome.kind}${code}, after ${(event.durationMs / 1000).toFixed(1)} s`;
    }
  }
}

function quote(text: string): string {
  return `“${clip(text)}”`;
}

function clip(text: string): string {
  return text.length <= TEXT_CHARS_MAX ? text : `${text.slice(0, TEXT_CHARS_MAX - 1)}…`;
}
