import t from "tap";
import { LOOK_MAX_MS, ListeningTime } from "./listening-time.js";

void t.test("time counts from the look at which speech was given, and a stall hardly at all", async (t) => {
  const listening = new ListeningTime();
  listening.look(0, 0);
  for (let nowMs = 20; nowMs <= 100; nowMs += 20) listening.look(nowMs, nowMs);
  t.equal(listening.sinceSpeechMs, 0, "the caller speaks");
  for (let nowMs = 120; nowMs <= 200; nowMs += 20) listening.look(nowMs, 100);
  t.equal(listening.sinceSpeechMs, 100);
  listening.look(1_200, 100);
  t.equal(listening.sinceSpeechMs, 100 + LOOK_MAX_MS, "we stood still");
  listening.look(1_220, 900);
  t.equal(listening.sinceSpeechMs, 0, "more speech");
});
