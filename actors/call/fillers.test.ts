import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { FILLER_AFTER_MS, Fillers, STALL_LEFT_MS } from "./fillers.js";
import type { CachedSpeech } from "./voice-cache.js";

const HOLD_ON: CachedSpeech = { text: "One moment.", audio: new Uint8Array(0), words: [] };

function waiting() {
  const clock = new VirtualClock();
  const said: string[] = [];
  const line = { wouldBeFirst: true, isHeard: true, leftMs: null as number | null, isCached: true };
  const fillers = new Fillers({
    clock,
    guard: (body) => body(),
    filler: () => (line.isCached ? HOLD_ON : null),
    wouldBeFirst: () => line.wouldBeFirst,
    isHeard: () => line.isHeard,
    leftMs: () => line.leftMs,
    onFirst: () => said.push("first"),
    onStall: () => said.push("stall"),
  });
  return { clock, said, line, fillers };
}

void t.test(
  "before the first word: once, unless there is something to hear or it would come too late",
  async (t) => {
    const { clock, said, fillers } = waiting();
    fillers.arm();
    clock.advance(FILLER_AFTER_MS - 1);
    t.same(said, []);
    clock.advance(1);
    fillers.arm();
    clock.advance(10 * FILLER_AFTER_MS);
    t.same(said, ["first"]);

    const heard = waiting();
    heard.fillers.arm();
    heard.fillers.onAudio();
    const late = waiting();
    late.line.wouldBeFirst = false;
    late.fillers.arm();
    for (const one of [heard, late]) {
      one.clock.advance(10 * FILLER_AFTER_MS);
      t.same(one.said, []);
    }
  },
);

void t.test(
  "within an answer: when the model stalls and all but the last of it was heard, once",
  async (t) => {
    const { clock, said, line, fillers } = waiting();
    fillers.onText(clock.nowMs());
    line.leftMs = 3_000;
    clock.advance(FILLER_AFTER_MS + 1_000);
    t.same(said, [], "there is something to hear");
    line.leftMs = STALL_LEFT_MS;
    clock.advance(3_000);
    t.same(said, ["stall"]);
    fillers.onText(clock.nowMs());
    clock.advance(10 * FILLER_AFTER_MS);
    t.same(said, ["stall"]);
  },
);

void t.test("a model that goes on, or whose answer nobody hears yet, is not bridged", async (t) => {
  const { clock, said, line, fillers } = waiting();
  line.leftMs = 0;
  for (let tokens = 0; tokens < 10; tokens += 1) {
    fillers.onText(clock.nowMs());
    clock.advance(FILLER_AFTER_MS / 2);
  }
  t.same(said, []);
  line.isHeard = false;
  clock.advance(10 * FILLER_AFTER_MS);
  t.same(said, []);
});

void t.test("a reply that is over, or has no filler cached, says none", async (t) => {
  const over = waiting();
  const missing = waiting();
  missing.line.isCached = false;
  for (const one of [over, missing]) {
    one.line.leftMs = 0;
    one.fillers.arm();
    one.fillers.onText(one.clock.nowMs());
  }
  over.fillers.close();
  for (const one of [over, missing]) {
    one.clock.advance(10 * FILLER_AFTER_MS);
    t.same(one.said, []);
  }
});
