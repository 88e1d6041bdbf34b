import t from "tap";
import { HotHistogram } from "./hot-histogram.js";
import { MetricsMerge } from "./merge.js";
import { createMetrics } from "./metrics.js";

/** Value of one series in a page of metrics, or undefined. */
function valueOf(page: string, series: string): number | undefined {
  const line = page.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

void t.test(
  "counters and histograms of all threads add up on one page; gauges keep their thread",
  async (t) => {
    const main = createMetrics({ thread: "main" });
    const shard = createMetrics({ thread: "shard-0" });
    t.teardown(() => [main.close(), shard.close()]);
    main.bargeIns.inc({ result: "cut" }, 2);
    shard.bargeIns.inc({ result: "cut" }, 3);
    shard.stageLatencyMs.observe({ stage: "voiceToVoice" }, 320);
    main.stageLatencyMs.observe({ stage: "voiceToVoice" }, 90);
    main.edgePacingErrorMs.record(0.3);
    shard.mailboxDepthMaxMessages.set({ thread: "shard-0" }, 4);

    const merge = new MetricsMerge();
    merge.update("main", structuredClone(await main.snapshot()));
    merge.update("shard-0", structuredClone(await shard.snapshot()));
    const page = await merge.text();
    t.equal(valueOf(page, 'lumentra_barge_ins_total{result="cut"}'), 5);
    t.equal(valueOf(page, 'lumentra_stage_latency_ms_bucket{le="100",stage="voiceToVoice"}'), 1, page);
    t.equal(valueOf(page, 'lumentra_stage_latency_ms_count{stage="voiceToVoice"}'), 2);
    t.equal(valueOf(page, 'lumentra_edge_pacing_error_ms_bucket{le="0.5"}'), 1);
    t.equal(valueOf(page, "lumentra_edge_pacing_error_ms_count"), 1);
    t.equal(valueOf(page, 'lumentra_mailbox_depth_max_messages{thread="shard-0"}'), 4);
    t.type(valueOf(page, 'lumentra_event_loop_delay_ms{thread="main",quantile="p99"}'), "number");
  },
);

void t.test("totals of a dead shard stay, also after it came back twice, and its gauges go", async (t) => {
  const merge = new MetricsMerge();
  for (let life = 0; life < 3; life++) {
    const shard = createMetrics({ thread: "shard-0" });
    shard.callsEnded.inc({ outcome: "callerHungUp" }, 10);
    shard.stageLatencyMs.observe({ stage: "sttFinal" }, 10);
    shard.mailboxDepthMaxMessages.set({ thread: "shard-0" }, 7);
    merge.update("shard-0", await shard.snapshot());
    shard.close();
    const alive = await merge.text();
    t.equal(valueOf(alive, 'lumentra_calls_ended_total{outcome="callerHungUp"}'), 10 * (life + 1));
    merge.retire("shard-0");
    const dead = await merge.text();
    t.equal(valueOf(dead, 'lumentra_calls_ended_total{outcome="callerHungUp"}'), 10 * (life + 1));
    t.equal(valueOf(dead, 'lumentra_stage_latency_ms_bucket{le="10",stage="sttFinal"}'), life + 1);
    t.equal(valueOf(dead, 'lumentra_mailbox_depth_max_messages{thread="shard-0"}'), undefined);
  }
  merge.retire("shard-0");
  merge.retire("never-seen");
});

void t.test("collectors run before each snapshot", async (t) => {
  const metrics = createMetrics({ thread: "main" });
  t.teardown(() => metrics.close());
  let sockets = 0;
  metrics.onCollect(() => metrics.edgeSockets.set(++sockets));
  const merge = new MetricsMerge();
  await metrics.snapshot();
  merge.update("main", await metrics.snapshot());
  t.equal(valueOf(await merge.text(), "lumentra_edge_sockets"), 2);
});

void t.test("every metric of ours is named lumentra_ and no label names a call or tenant", async (t) => {
  const metrics = createMetrics({ thread: "main" });
  t.teardown(() => metrics.close());
  for (const { name, help } of await metrics.snapshot()) {
    t.match(name, /^lumentra_[a-z_]+$/);
    t.ok(help.length > 10, name);
  }
  t.notMatch(await metrics.registry.metrics(), /(call|tenant|number)_?id=/i);
});

void t.test("process metrics come only when asked for", async (t) => {
  const metrics = createMetrics({ thread: "main", processMetrics: true });
  t.teardown(() => metrics.close());
  t.match(await metrics.registry.metrics(), /process_resident_memory_bytes/);
});

void t.test(
  "a hot histogram counts each value once: at a bound below it, above all bounds in +Inf",
  async (t) => {
    const histogram = new HotHistogram("h", "help", [1, 2, 5]);
    for (const value of [0, 1, 1.5, 2, 5, 6, 100]) histogram.record(value);
    const { values } = await histogram.get();
    t.strictSame(
      values.map(({ value }) => value),
      [2, 4, 5, 7, 115.5, 7],
    );
    t.equal(histogram.quantile(0.5), 2);
    t.equal(histogram.quantile(0.99), 100, "the largest value where no bound holds it");
    histogram.reset();
    t.equal(histogram.count, 0);
    t.equal(histogram.quantile(0.5), 1);
  },
);

void t.test(
  "a hot histogram's window holds what came since it was taken, the totals everything",
  async (t) => {
    const histogram = new HotHistogram("h", "help", [1, 2, 5]);
    t.equal(histogram.takeWindow(0.99), 0, "nothing came");
    for (const value of [0.4, 0.4, 0.4]) histogram.record(value);
    t.equal(histogram.takeWindow(0.99), 0.4, "no sample was above the largest");
    for (const value of [0.4, 1.5, 1.8, 300]) histogram.record(value);
    t.equal(histogram.takeWindow(0.75), 2);
    for (const value of [0.4, 300, 300]) histogram.record(value);
    t.equal(histogram.takeWindow(0.5), 300, "above all bounds");
    t.equal(histogram.takeWindow(0.99), 0);
    t.equal(histogram.count, 10);
  },
);
