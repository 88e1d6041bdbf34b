import { queryObjects, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t from "tap";
import { ActorSystem, VirtualClock, seededRandom } from "#runtime/actor";
import { Arena, MULAW_8K } from "#runtime/media";
import { createLogger, createMetrics } from "#runtime/telemetry";
import { tenantSchema } from "#actors/tenants";
import { ToolRegistry } from "#actors/tools";
import { callActorProps } from "./call-actor.js";
import { TEST_TENANT } from "./call.fixture.js";
import { CallCounters } from "./counters.js";
import { Lull } from "./lull.js";
import { MessageFiles } from "./message-files.js";
import { VoiceCache } from "./voice-cache.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const CALLS = 100;
/** Those before them: code is compiled, and objects' shapes are known. */
const FIRST_CALLS = 20;

/** Calls that have just begun and whose providers say nothing, from here on. */
class SilentCalls {
  readonly #arena = Arena.create({ slotCount: FIRST_CALLS + CALLS });
  readonly #clock = new VirtualClock();
  readonly #system: ActorSystem;
  readonly #tenant = tenantSchema.parse(TEST_TENANT);
  readonly #counters = new CallCounters(createMetrics({ thread: "test" }));
  readonly #tools = new ToolRegistry();
  readonly #cache: VoiceCache;
  readonly #messages: MessageFiles;
  #begun = 0;

  constructor() {
    const clock = this.#clock;
    const log = createLogger({ level: "warn", name: "test", destination: { write() {} } });
    this.#system = new ActorSystem({ clock, log, random: seededRandom(1) });
    this.#cache = new VoiceCache({ clock, log, directory: null, tts: () => tts });
    this.#messages = new MessageFiles("/dev/null", log);
  }

  begin(count: number): void {
    for (const last = this.#begun + count; this.#begun < last; this.#begun += 1) {
      const slot = this.#begun;
      const leg = this.#arena.shardSide(slot);
      this.#system.spawn(
        callActorProps({
          start: {
            callId: `call-${slot}`,
            carrierCallId: `CA${slot}`,
            carrier: "twilio",
            tenantId: this.#tenant.id,
            epoch: 1,
            nodeId: "node-1",
            tenure: 0,
            resumed: null,
            format: MULAW_8K,
            webhookAtMs: 0,
            openedAtMs: 0,
            pii: { from: "+15550100001", to: "+12025550101" },
          },
          leg,
          tenant: this.#tenant,
          stt,
          llm,
          tts,
          tools: this.#tools,
          cache: this.#cache,
          messages: this.#messages,
          counters: this.#counters,
          lull: new Lull(leg.in),
          emit: () => true,
          enter() {},
          leave() {},
          wakeEdge() {},
          maySpeculate: () => true,
          hangUp() {},
          onEnded() {},
        }),
      );
    }
    this.#system.runReady();
  }

  end(): Promise<void> {
    return this.#system.shutdown();
  }
}

const nothing = (): void => {};
const done = (): Promise<void> => Promise.resolve();
const stream = { write: nothing, flush: nothing, nudge: nothing, finalize: nothing, close: nothing };
const speech = { push: nothing, finish: nothing, cancel: nothing };
const stt = { name: "silent", open: () => stream, warm: done, close: done };
const llm = { name: "silent", generate: () => ({ cancel: nothing }), warm: done, close: done };
const tts = { name: "silent", speak: () => speech, warm: done, close: done };

void t.test("a call's stages take less than 13.5 KiB of its shard's heap, in few buffers", async (t) => {
  const calls = new SilentCalls();
  calls.begin(FIRST_CALLS);
  collectGarbage();
  const heapBefore = process.memoryUsage().heapUsed;
  const buffersBefore = queryObjects(ArrayBuffer, { format: "count" });
  calls.begin(CALLS);
  collectGarbage();
  const heapBytes = (process.memoryUsage().heapUsed - heapBefore) / CALLS;
  const buffers = (queryObjects(ArrayBuffer, { format: "count" }) - buffersBefore) / CALLS;
  // 16.1 KiB when its parts were handed on as one dictionary and a copy of it for each stage.
  t.ok(heapBytes < 13.5 * 1_024, `${Math.round(heapBytes)} bytes`);
  // 18 when each series of its levels had a buffer of its own: half a KiB each, whatever is in it.
  t.ok(buffers <= 6, `${buffers} buffers`);
  await calls.end();
});
