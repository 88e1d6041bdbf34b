import t from "tap";
import { ObjectiveCount } from "./objective.js";
import type { CallRecord, TurnRecord } from "./records.js";

const turn = (callSid: string, change: Partial<TurnRecord> = {}): TurnRecord => ({
  callSid,
  kind: "conversation",
  said: "Please say alfa",
  expected: "alfa",
  heard: "alfa",
  right: true,
  speechEndAtMs: 1_000,
  phoneLateMs: 0,
  replyAtMs: 1_400,
  bargeInMs: null,
  ...change,
});
const ended = (callSid: string, change: Partial<CallRecord> = {}): CallRecord => ({
  callSid,
  kind: "conversation",
  dueAtMs: 0,
  webhookMs: 1,
  greetingMs: 2,
  end: "done",
  underruns: 0,
  violations: 0,
  ...change,
});

void t.test("a call is within objective when all of its turns were, without a gap, to its end", (t) => {
  const count = new ObjectiveCount();
  count.add(turn("good"));
  count.add(turn("wrong", { right: false }));
  count.add(turn("wrong"));
  count.add(turn("slow"));
  count.add(turn("slow", { replyAtMs: 1_451 }));
  count.add(turn("gap"));
  count.add(turn("broke off"));
  count.callEnded(ended("good"));
  count.callEnded(ended("wrong"));
  count.callEnded(ended("slow"));
  count.callEnded(ended("gap", { underruns: 1 }));
  count.callEnded(ended("broke off", { end: "failed" }));
  count.callEnded(ended("refused", { end: "refused" }));
  count.callEnded(ended("of the ramp alone"));
  const [turns, calls] = count.figures();
  t.match(turns, { value: (100 * 5) / 7, count: 7 });
  t.match(calls, { value: 100 / 6, count: 6 });
  t.end();
});
