import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import { CallFixture } from "./call.fixture.js";
import { HISTORY_MAX_MESSAGES } from "./history.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

void t.test(
  "ten minutes of talk, accelerated: no drift in the delays, no growth of what a call holds",
  async (t) => {
    const fixture = new CallFixture({ reply: () => ({ text: "Yes, that is right, we can do that." }) });
    const converse = (turns: number): void => {
      for (let turn = 0; turn < turns; turn += 1) fixture.say("can you do that for me too?", 3_200);
    };
    fixture.run(1_500);
    converse(20); // buffers, caches and the history's window are full
    const journalAfterWarmUp = fixture.journal.length;
    const before = heapBytes();
    converse(100);
    const after = heapBytes();
    t.ok(fixture.clock.nowMs() - 1_000_000 > 600_000, "more than ten minutes of line time");

    const delays = fixture
      .facts("agentTurn")
      .filter((turn) => turn.source === "model")
      .map((turn) => turn.ledger.voiceToVoiceMs!);
    t.equal(delays.length, 120, "every question was answered once");
    t.ok(Math.max(...delays) - Math.min(...delays) <= 20, "the last reply came as soon as the first");
    t.ok(fixture.requests.at(-1)!.messages.length <= HISTORY_MAX_MESSAGES + 2);
    // The fixture itself keeps journal and requests: some 10 KiB per turn. A call that grew would add to that.
    const kept = fixture.journal.length - journalAfterWarmUp;
    t.ok((after - before) / kept < 16_384, `${Math.round((after - before) / kept)} bytes per journal event`);
    t.equal(fixture.crash, null);
  },
);
