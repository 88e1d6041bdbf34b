import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { EventLoopDelayMonitor } from "./event-loop-delay.js";

const BLOCKED_MS = 300;

/** Backpressure goes by p95: one call that blocked its shard now and then once took early replies from all the node's calls. */
void t.test("one callback that blocks is the second's p99, and not its p95", async (t) => {
  const monitor = new EventLoopDelayMonitor();
  await sleep(500);
  const until = performance.now() + BLOCKED_MS;
  while (performance.now() < until);
  await sleep(500);
  const { p95, p99, max } = monitor.take();
  monitor.close();
  t.ok(max >= BLOCKED_MS / 2, `the longest was ${max} ms`);
  t.ok(p99 > max * 0.9, `p99 ${p99} of ${max} ms`);
  t.ok(p95 < max * 0.9, `p95 ${p95} of ${max} ms`);
});
