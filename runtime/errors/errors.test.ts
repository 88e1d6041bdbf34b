import { readFileSync, readdirSync } from "node:fs";
import { MessageChannel } from "node:worker_threads";
import t from "tap";
import { LumentraError, type WireError, errorTable, fromWire, toWire } from "#runtime/errors";
import { renderErrorsPage } from "./errors-page.js";

void t.test("docs/ERRORS.md is what the table says", async (t) => {
  t.equal(readFileSync("docs/ERRORS.md", "utf8"), renderErrorsPage());
});

void t.test("every code is used by what runs, and not by tests alone", async (t) => {
  const isSource = (path: string) => /(?<!\.(test|fixture|compliance))\.ts$/.test(path);
  const sources = ["runtime", "actors", "node", "control-plane", "cli", "bench"].flatMap((layer) =>
    readdirSync(layer, { recursive: true, encoding: "utf8" })
      .map((path) => `${layer}/${path}`)
      .filter((path) => isSource(path) && !path.startsWith("runtime/errors/"))
      .map((path) => readFileSync(path, "utf8")),
  );
  // A provider's kind is put before the rest where the failure is found.
  for (const code of Object.keys(errorTable)) {
    const [, failure] = /^(?:STT|LLM|TTS)_(.*)$/.exec(code) ?? [];
    const ways = failure === undefined ? [`"${code}"`] : [`"${code}"`, `"${failure}"`, `_${failure}\``];
    t.ok(
      sources.some((source) => ways.some((way) => source.includes(way))),
      code,
    );
  }
});

void t.test("an error keeps its code, detail and stack across a thread", async (t) => {
  const { port1, port2 } = new MessageChannel();
  const sent = new LumentraError("SHARD_LOST", "shard 3 is gone", { detail: { shardId: 3 } });
  const arrived = new Promise<WireError>((resolve) => port2.once("message", resolve));
  port1.postMessage(toWire(sent));
  const rebuilt = fromWire(await arrived);
  port1.close();
  t.match(rebuilt, {
    name: "LumentraError",
    code: "SHARD_LOST",
    message: "shard 3 is gone",
    retryable: true,
  });
  t.same((rebuilt as LumentraError).detail, { shardId: 3 });
  t.equal(rebuilt.stack, sent.stack);
});

void t.test("what is no LumentraError arrives as a plain error", async (t) => {
  const rebuilt = fromWire(toWire(new TypeError("odd")));
  t.notOk(rebuilt instanceof LumentraError);
  t.equal(rebuilt.message, "odd");
  t.equal(toWire("a string").message, "a string");
});
