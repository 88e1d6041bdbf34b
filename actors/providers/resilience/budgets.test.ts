import t from "tap";
import { VirtualClock } from "#runtime/actor";
import {
  ConcurrencyBudget,
  DECREASE,
  DECREASE_PAUSE_MS,
  FORGET_MS,
  WAIT_MAX_MS,
} from "./concurrency-budget.js";
import { LatencyTail, SAMPLES, SAMPLES_MIN } from "./latency-tail.js";
import { RETRY_RESERVE, RETRY_SHARE, RetryBudget } from "./retry-budget.js";

function enter(budget: ConcurrencyBudget, count: number, holder = "a"): number {
  let entered = 0;
  for (let index = 0; index < count; index += 1) entered += Number(budget.tryEnter(holder));
  return entered;
}

void t.test("a budget has no bound until a provider says no; a 429 takes a third of what runs", async (t) => {
  const clock = new VirtualClock();
  const budget = new ConcurrencyBudget(clock);
  t.equal(enter(budget, 1_000), 1_000);
  t.equal(budget.usage, 0);
  budget.limited(null);
  t.equal(budget.limit, Math.floor(1_000 * DECREASE));
  budget.limited(null);
  t.equal(budget.limit, Math.floor(1_000 * DECREASE), "A3: of one burst");
  t.notOk(budget.tryEnter("a"));
  clock.advance(DECREASE_PAUSE_MS);
  budget.limited(null);
  t.equal(budget.limit, Math.floor(1_000 * DECREASE * DECREASE));
});

void t.test("it grows by one per round of successes, while it is what holds us back", async (t) => {
  const clock = new VirtualClock();
  const budget = new ConcurrencyBudget(clock, 100);
  enter(budget, 20);
  budget.limited(null);
  const limit = budget.limit;
  for (let index = 0; index < limit + 1; index += 1) budget.succeeded();
  t.equal(budget.limit, limit + 1);
  for (let index = 0; index < 20; index += 1) budget.leave("a");
  for (let index = 0; index < 1_000; index += 1) budget.succeeded();
  t.equal(budget.limit, limit + 1, "an idle account proves nothing");
  clock.advance(FORGET_MS);
  t.equal(budget.limit, 100, "forgotten");
});

void t.test("what the provider said how long to wait is waited, within reason", async (t) => {
  const clock = new VirtualClock();
  const budget = new ConcurrencyBudget(clock);
  budget.limited(700);
  clock.advance(699);
  t.notOk(budget.tryEnter("a"));
  t.equal(budget.usage, 1);
  clock.advance(1);
  t.ok(budget.tryEnter("a"));
  budget.limited(24 * 3_600_000);
  clock.advance(WAIT_MAX_MS);
  budget.leave("a");
  t.ok(budget.tryEnter("a"));
});

void t.test("one tenant's rush leaves the others their share", async (t) => {
  const budget = new ConcurrencyBudget(new VirtualClock(), 10);
  t.equal(enter(budget, 7, "rush"), 7, "alone it may have all");
  t.equal(enter(budget, 1, "other"), 1);
  t.equal(enter(budget, 3, "rush"), 0);
  t.equal(enter(budget, 9, "other"), 2, "what is left");
  t.equal(budget.inFlight, 10);
  budget.leave("nobody");
  t.equal(budget.inFlight, 10, "A1");
});

void t.test("retries are at most a share of what was asked, and a reserve", async (t) => {
  const budget = new RetryBudget();
  let retries = 0;
  const requests = 1_000;
  for (let index = 0; index < requests; index += 1) {
    budget.deposit();
    while (budget.tryDraw()) retries += 1;
  }
  t.ok(retries <= requests * RETRY_SHARE + RETRY_RESERVE && retries >= requests * RETRY_SHARE, `${retries}`);
});

void t.test("the tail is of the last samples, and unknown at first", async (t) => {
  const tail = new LatencyTail();
  for (let index = 1; index < SAMPLES_MIN; index += 1) tail.add(index);
  t.equal(tail.quantile(0.95), null);
  for (let index = 0; index < SAMPLES; index += 1) tail.add(index < SAMPLES * 0.9 ? 200 : 900);
  t.equal(tail.quantile(0.5), 200);
  t.equal(tail.quantile(0.95), 900);
  for (let index = 0; index < SAMPLES; index += 1) tail.add(100);
  t.equal(tail.quantile(0.95), 100);
});
