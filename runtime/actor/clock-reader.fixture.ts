/** A thread that says what time it is. */
import assert from "node:assert/strict";
import { parentPort } from "node:worker_threads";
import { SystemClock } from "./system-clock.js";

assert(parentPort !== null);
parentPort.postMessage(new SystemClock().nowMs());
