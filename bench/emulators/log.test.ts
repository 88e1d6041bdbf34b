import t from "tap";
import { EmulatorLog, type LogEntry } from "./log.js";

function llm(callId: string) {
  return {
    kind: "llm" as const,
    provider: "groq",
    callId,
    requestId: "r",
    receivedAtMs: 0,
    prompt: "",
    status: 0,
    plannedFirstTokenMs: 0,
    firstTokenSentAtMs: null,
    doneAtMs: null,
    reply: "",
    toolCalls: [],
    aborted: false,
  };
}

void t.test("the oldest entries go when the log is full, and numbers go on", (t) => {
  const log = new EmulatorLog(3);
  for (const callId of ["a", "b", "c", "d", "e"]) log.add(llm(callId));
  t.same(
    log.entries.map((entry) => [entry.seq, entry.callId]),
    [
      [3, "c"],
      [4, "d"],
      [5, "e"],
    ],
  );
  t.same(
    log.since(4).map((entry) => entry.seq),
    [5],
  );
  t.same(
    log.llm("d").map((entry) => entry.seq),
    [4],
  );
  t.same(log.stt(), []);
  log.clear();
  t.same(log.entries, []);
  log.add(llm("f"));
  t.same(
    log.entries.map((entry) => entry.seq),
    [6],
  );
  t.end();
});

void t.test("listeners hear of each change in its tick, until they leave", async (t) => {
  const log = new EmulatorLog();
  const heard: [string | null, string][] = [];
  const off = log.on((entry, change) => heard.push([entry.callId, change]));
  const entry: LogEntry = log.add(llm("a"));
  const until = log.until((_entry, change) => change === "done");
  log.changed(entry, "firstToken");
  t.same(heard, [
    ["a", "started"],
    ["a", "firstToken"],
  ]);
  off();
  log.changed(entry, "done");
  t.equal(heard.length, 2);
  t.equal(await until, entry);
});
