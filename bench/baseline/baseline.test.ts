import t from "tap";
import { placeCall } from "#bench/caller";
import { startEmulatorProcess } from "#bench/processes";
import { startBaselineProcess } from "./process.js";

void t.test("the plain agent greets, answers and stops when it is spoken to", async (t) => {
  const emulators = await startEmulatorProcess();
  t.teardown(() => emulators.stop());
  const agent = await startBaselineProcess(emulators.environment);
  t.teardown(() => agent.stop());
  const call = await placeCall({ nodeUrl: agent.url, to: "+12025550101" });
  await call.waitForReply(0);
  t.match(call.heardText(), /^hello/i);
  const said = await call.say("Please say apple river stone");
  await call.waitForReply(said.endedAtMs);
  t.match(call.heardText(said.endedAtMs), /apple river stone/i);
  call.hangUp();
  t.equal((await call.ended).outcome.kind, "callerHungUp");
});
