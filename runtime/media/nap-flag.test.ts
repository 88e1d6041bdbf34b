import { once } from "node:events";
import { Worker } from "node:worker_threads";
import t from "tap";
import { NapFlag } from "./nap-flag.js";

/** Far longer than another thread takes: only a lost wake-up runs into it. */
const LONG_MS = 20_000;

void t.test("who sleeps in the kernel has to be told by a message, who is awake has not", async (t) => {
  const flag = new NapFlag();
  t.equal(flag.isUp, false);
  t.equal(flag.wake(), false);
  flag.begin();
  t.equal(flag.isUp, true);
  t.equal(flag.wake(), true);
  flag.end();
  t.equal(flag.wake(), false);
});

void t.test("a nap ends by its time", async (t) => {
  const flag = new NapFlag();
  flag.begin();
  flag.lieDown();
  t.equal(flag.nap(1), false);
  t.equal(flag.isUp, true, "awake after it");
});

void t.test("who is woken between lying down and the nap does not nap", async (t) => {
  const flag = new NapFlag();
  flag.begin();
  flag.lieDown();
  t.equal(flag.wake(), true);
  t.equal(flag.nap(LONG_MS), true);
});

void t.test("another thread ends a nap", async (t) => {
  const flag = new NapFlag();
  const module = new URL("./nap-flag.js", import.meta.url).href;
  const worker = new Worker(
    `const { workerData } = require("node:worker_threads");
     import(workerData.module).then(({ NapFlag }) => {
       const word = new Int32Array(workerData.buffer);
       while (Atomics.load(word, 0) !== 1);
       new NapFlag(workerData.buffer).wake();
     });`,
    { eval: true, workerData: { module, buffer: flag.buffer } },
  );
  await once(worker, "online");
  flag.begin();
  flag.lieDown();
  t.equal(flag.nap(LONG_MS), true);
  await once(worker, "exit");
});
