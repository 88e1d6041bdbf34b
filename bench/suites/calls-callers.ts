/**
 * The callers of a load run: placed on a schedule that does not wait for the node, each on its own line, each with
 * its own words. They keep what a bench needs and check what they heard as they go.
 */
import {
  type PhoneCall,
  type PhoneCallResult,
  type SaidUtterance,
  phoneClock,
  placeCall,
} from "#bench/caller";
import { normalizeWords } from "#bench/speech";
import { LumentraError } from "#runtime/errors";
import { seededRandom } from "#runtime/actor";
import { codeWords, sentenceFor } from "./calls-words.js";

/** Between a reply and what is said next, drawn for each turn: people think. */
const THINK_MS = { least: 300, most: 1_500 };
/** After the reply's last word: it might have been followed by one of somebody else's. */
const LISTEN_ON_MS = 300;
/** A reply that takes longer than this did not come. */
const REPLY_TIMEOUT_MS = 10_000;
/** New calls a second while the load is built up. */
export const ARRIVALS_PER_SECOND = 50;

export interface BenchTurn {
  readonly callSid: string;
  readonly words: string;
  readonly said: SaidUtterance;
  readonly heard: string;
  /** The instant the first sample of the reply was played; null when none came. */
  readonly replyAtMs: number | null;
}

export interface BenchCaller {
  readonly index: number;
  readonly call: PhoneCall;
  readonly turns: BenchTurn[];
}

export interface PlacedCallers {
  readonly callers: readonly BenchCaller[];
  /** What went wrong, in words. */
  readonly failures: readonly string[];
}

/** Places the calls on schedule and resolves when every greeting was heard, or has failed to come. */
export async function placeCallers(
  nodeUrl: string,
  to: string,
  count: number,
  onMedia: (nowMs: number, sampleCount: number, aheadMs: number) => void,
): Promise<PlacedCallers> {
  const clock = phoneClock();
  const failures: string[] = [];
  const placing: Promise<BenchCaller | null>[] = [];
  const startedAtMs = clock.nowMs();
  for (let index = 0; index < count; index++) {
    await until(startedAtMs + (index * 1000) / ARRIVALS_PER_SECOND);
    placing.push(
      place(nodeUrl, to, index, onMedia).catch((error: unknown) => {
        failures.push(`caller ${index}: ${error instanceof Error ? error.message : String(error)}`);
        return null;
      }),
    );
  }
  const callers = (await Promise.all(placing)).filter((caller) => caller !== null);
  return { callers, failures };
}

async function place(
  nodeUrl: string,
  to: string,
  index: number,
  onMedia: (nowMs: number, sampleCount: number, aheadMs: number) => void,
): Promise<BenchCaller> {
  const call = await placeCall({ nodeUrl, to, from: `+1555${String(1_000_000 + index)}` });
  call.onMedia(onMedia);
  if (call.outcome !== null) throw new Error(`the call ended at once (${JSON.stringify(call.outcome)})`);
  await call.waitForReply(0);
  return { index, call, turns: [] };
}

/** Talks until the deadline, once at least: a sentence with words of its own, the reply, a pause. */
export async function talk(caller: BenchCaller, deadlineMs: number, failures: string[]): Promise<void> {
  const random = seededRandom(caller.index + 1);
  const clock = phoneClock();
  try {
    // Not all at the same instant, and not in step ever after.
    await until(clock.nowMs() + random.next() * THINK_MS.most);
    do {
      await takeTurn(caller);
      await until(clock.nowMs() + THINK_MS.least + random.next() * (THINK_MS.most - THINK_MS.least));
    } while (clock.nowMs() < deadlineMs);
  } catch (error) {
    if (!(error instanceof LumentraError)) throw error;
    failures.push(`caller ${caller.index}, turn ${caller.turns.length}: ${error.message}`);
  }
}

/** One sentence and its reply; what was heard is kept, right or wrong. */
export async function takeTurn(caller: BenchCaller): Promise<void> {
  const { call, turns, index } = caller;
  const words = codeWords(index, turns.length);
  const said = await call.say(sentenceFor(words));
  const wordCount = normalizeWords(words).length;
  try {
    await call.waitUntil("the reply", REPLY_TIMEOUT_MS, () => heardSince(call, said).length >= wordCount);
    await call.waitForSilence(LISTEN_ON_MS, REPLY_TIMEOUT_MS);
  } finally {
    const reply = call.spurts.find((spurt) => spurt.startedAtMs >= said.endedAtMs);
    turns.push({
      callSid: call.callSid,
      words,
      said,
      heard: heardSince(call, said).join(" "),
      replyAtMs: reply?.startedAtMs ?? null,
    });
  }
}

function heardSince(call: PhoneCall, said: SaidUtterance): readonly string[] {
  // Backwards: a call may be long, a turn is not.
  const words: string[] = [];
  for (let i = call.heard.length - 1; i >= 0 && call.heard[i]!.playedAtMs >= said.endedAtMs; i--) {
    words.unshift(call.heard[i]!.word);
  }
  return words;
}

/** Whether the caller heard its own words and nothing else. */
export function heardRight(turn: BenchTurn): boolean {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z ]/g, "");
  return plain(turn.heard) === turn.words;
}

/** Everybody hangs up; what the calls came to. */
export async function hangUpAll(callers: readonly BenchCaller[]): Promise<readonly PhoneCallResult[]> {
  for (const { call } of callers) call.hangUp();
  return Promise.all(callers.map(({ call }) => call.ended));
}

/** Resolves at an instant of the phones' clock; at once when it has passed. */
export function until(atMs: number): Promise<void> {
  const clock = phoneClock();
  return new Promise((resolve) => {
    clock.setTimer(Math.max(0, atMs - clock.nowMs()), resolve);
  });
}
