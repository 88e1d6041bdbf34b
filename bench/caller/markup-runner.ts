/**
 * What a carrier does with a call: asks the webhook, runs the markup verb by verb, holds the media stream while
 * there is one, and follows the redirect after it (TwiML's <Connect> and <Redirect>). Ends with how the call
 * ended.
 */
import type { Clock } from "#runtime/actor";
import { LumentraError } from "#runtime/errors";
import type { CallIds, CarrierDialect } from "./carrier.js";
import { Ear, type HeardWord } from "./ear.js";
import { type MarkupVerb, parseMarkup } from "./markup.js";
import type { MediaLeg } from "./media-leg.js";
import type { MediaSocket } from "./media-socket.js";
import type { PhoneOutcome } from "./phone-types.js";
import { type NodeAddress, fetchAudio, openMediaSocket, postWebhook } from "./socket.js";

/** A node that redirects for ever is told apart from one that resumes a call a few times. */
const REDIRECTS_MAX = 8;
const FIRST_CALL_STATUS = "ringing";
/** A caller waits through a longer one, a test does not. */
const PAUSE_MS_MAX = 5_000;
const PLAYED_RATE_HZ = 8_000;
/** 40 ms. */
const PLAYED_PIECE_SAMPLES = 320;
/** Close code the WebSocket library reports when there was no close frame. */
const NO_CLOSE_FRAME = 1006;

export interface MarkupRun {
  readonly address: NodeAddress;
  readonly dialect: CarrierDialect;
  readonly from: string;
  readonly to: string;
  readonly authToken: string | null;
  readonly clock: Clock;
  readonly extraParameters: Readonly<Record<string, string>>;
  readonly repeatWebhook: boolean;
  readonly ids: Omit<CallIds, "streamSid">;
  onVerb(verb: MarkupVerb): void;
  /** The first webhook was answered after this long. */
  onWebhookAnswered(durationMs: number): void;
  /** A word of a `<Play>`, once its end was decoded. */
  onPlayedWord(word: HeardWord, understood: boolean): void;
  /** Not null once the caller has hung up or dropped the line. */
  ended(): PhoneOutcome | null;
  openStream(socket: MediaSocket, ids: CallIds, parameters: Readonly<Record<string, string>>): MediaLeg;
  closeStream(): void;
}

/** Never rejects: what goes wrong is the outcome. */
export async function runMarkup(run: MarkupRun): Promise<PhoneOutcome> {
  try {
    return await followMarkup(run);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    const unreachable = error instanceof LumentraError && error.code === "CALLER_NODE_UNREACHABLE";
    return { kind: unreachable ? "nodeUnreachable" : "webhookFailed", detail };
  }
}

async function followMarkup(run: MarkupRun): Promise<PhoneOutcome> {
  let url: string | null = new URL(run.dialect.webhookPath, run.address.publicUrl).href;
  let callStatus = FIRST_CALL_STATUS;
  let outcome: PhoneOutcome = { kind: "agentHungUp" };
  for (let requests = 0; url !== null; requests++) {
    if (requests > REDIRECTS_MAX) return { kind: "webhookFailed", detail: "redirected in a circle" };
    const answer = await askWebhook(run, url, callStatus);
    if (answer.kind === "refused") return answer.outcome;
    url = null;
    callStatus = "in-progress";
    for (const verb of answer.verbs) {
      run.onVerb(verb);
      if (verb.kind === "hangup") return outcome;
      if (verb.kind === "reject") return { kind: "rejected", reason: verb.reason };
      if (verb.kind === "redirect") {
        url = new URL(verb.url, run.address.publicUrl).href;
        break;
      }
      if (verb.kind === "pause") await pause(run.clock, verb.lengthMs);
      if (verb.kind === "play") await play(run, verb.url);
      if (verb.kind !== "connectStream") continue;
      outcome = await holdStream(run, verb);
      if (run.ended() !== null || outcome.kind === "mediaFailed") return outcome;
    }
  }
  return outcome;
}

/** Many phones share a thread: they decode in turn and in pieces, so that none makes those that talk late. */
let decoding: Promise<void> = Promise.resolve();

/** Fetches it, and lets the caller hear it for as long as it lasts. */
async function play(run: MarkupRun, url: string): Promise<void> {
  const { sampleRateHz, channels } = await fetchAudio(run.address, url);
  const samples = channels[0] ?? new Int16Array();
  if (sampleRateHz !== PLAYED_RATE_HZ) {
    throw new LumentraError(
      "CALLER_MARKUP_INVALID",
      `The phone plays 8 kHz only, and this is ${sampleRateHz}`,
    );
  }
  const ear = new Ear(run.clock.nowMs(), (word, understood) => run.onPlayedWord(word, understood));
  decoding = decoding.then(async () => {
    for (let at = 0; at < samples.length; at += PLAYED_PIECE_SAMPLES) {
      ear.hear(samples.subarray(at, at + PLAYED_PIECE_SAMPLES));
      await new Promise((resolve) => setImmediate(resolve));
    }
    ear.hearSilence(PLAYED_RATE_HZ);
  });
  await decoding;
  await pause(run.clock, (samples.length * 1_000) / PLAYED_RATE_HZ);
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(Math.min(ms, PAUSE_MS_MAX), resolve);
  });
}

async function askWebhook(
  run: MarkupRun,
  url: string,
  callStatus: string,
): Promise<
  | { readonly kind: "verbs"; readonly verbs: readonly MarkupVerb[] }
  | { readonly kind: "refused"; readonly outcome: PhoneOutcome }
> {
  const parameters = {
    ...run.dialect.webhookParameters({ ...run.ids, streamSid: "" }, run.from, run.to, callStatus),
    ...run.extraParameters,
  };
  const first = callStatus === FIRST_CALL_STATUS;
  if (first && run.repeatWebhook) await postWebhook(run.address, run.dialect, url, parameters, run.authToken);
  const sentAtMs = run.clock.nowMs();
  const answer = await postWebhook(run.address, run.dialect, url, parameters, run.authToken);
  if (answer.kind === "refused") {
    const detail = `the webhook was answered with ${answer.status}: ${answer.body.slice(0, 200)}`;
    return { kind: "refused", outcome: { kind: "webhookFailed", detail } };
  }
  if (first) run.onWebhookAnswered(run.clock.nowMs() - sentAtMs);
  return { kind: "verbs", verbs: parseMarkup(answer.xml) };
}

/** Opens the media stream and returns when it is over, with what the caller or the close made of it. */
async function holdStream(
  run: MarkupRun,
  verb: Extract<MarkupVerb, { kind: "connectStream" }>,
): Promise<PhoneOutcome> {
  const ids: CallIds = { ...run.ids, streamSid: run.dialect.newStreamSid() };
  let leg: MediaLeg | null = null;
  let onClosed: (code: number) => void = () => {};
  const closed = new Promise<number>((resolve) => {
    onClosed = resolve;
  });
  const { address, dialect, authToken } = run;
  const opened = await openMediaSocket(address, dialect, verb.url, verb.bearerToken, authToken, {
    onText: (text) => leg?.receive(text),
    onBinary: () => leg?.receiveBinary(),
    onClose: (code) => onClosed(code),
  });
  if (opened.kind === "failed") return { kind: "mediaFailed", detail: opened.detail };
  if (run.ended() === null) leg = run.openStream(opened.socket, ids, verb.parameters);
  else opened.socket.terminate();
  const code = await closed;
  run.closeStream();
  return run.ended() ?? { kind: code === NO_CLOSE_FRAME ? "mediaLost" : "agentHungUp" };
}
