import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { factsOf, startTestNode } from "./node.fixture.js";

// Each test has a node of its own; they run side by side.
t.jobs = 2;

void t.test(
  "an outage of each provider: a spoken apology, and a message that is kept",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      tenants: { "bright-smile-dental": { greeting: "Hello there." } },
    });
    const { deepgram, groq, cartesia } = server.emulators;
    // For every request until it is taken back: one that fails while it is only ahead of the turn ends nothing.
    const always = { count: Number.POSITIVE_INFINITY };
    const outages: Record<
      string,
      { readonly arm: () => { readonly disarm?: () => void } | void; readonly code: RegExp }
    > = {
      "the model answers 503": {
        arm: () => groq.faults.arm({ kind: "status", status: 503 }, always),
        code: /^LLM_/,
      },
      "the voice drops its socket": {
        arm: () => cartesia.contextFaults.arm({ kind: "dropSocket", afterChunks: 1 }, always),
        code: /^TTS_/,
      },
      // Last: what is dialled ahead waits a while after this.
      "the recogniser closes mid-call, and lets nobody in": {
        arm: () => {
          const armed = deepgram.faults.arm({ kind: "refuse", status: 503 }, always);
          for (const stream of deepgram.live)
            stream.inject({ kind: "close", code: 1011, reason: "NET-0000" });
          return armed;
        },
        code: /^STT_/,
      },
    };
    for (const [outage, { arm, code }] of Object.entries(outages)) {
      const call = await server.call();
      await call.waitForReply(0);
      const armed = arm();
      await call.say("Do you have any special offers this month?").catch(() => {});
      // The apology comes from cached audio.
      await call.waitUntil("the offer", 20_000, () => /name and number/.test(call.heardText()));
      await call.waitForSilence(500);
      // Words of the apology alone; a gap on a busy machine may take one of them.
      t.match(call.heardText(), /sorry|technical|problem/, outage);
      armed?.disarm?.();
      await call.say("This is Jo, please call back");
      await new Promise((resolve) => call.setTimer(1_000, () => resolve(null))); // its transcript
      call.hangUp(); // without a goodbye, as people do
      const journal = await server.journal(call);
      const [taken] = factsOf(journal, "messageTaken");
      if (code.test("STT_")) {
        const wav = await stat(join(server.dataDirectory, taken!.audioFile!));
        t.ok(wav.size > 8_000, outage);
        const heard = await server.admin(`/calls/${call.callSid}/message`);
        t.equal(heard.status, 200);
        t.match(heard.text, /^RIFF/);
      } else {
        t.match(taken!.pii.transcript, /this is jo, please call back/i, outage);
      }
      // What a node that stands alone has when it has been started again: its journals are gone then.
      const { callId, epoch, sequence, audioFile } = taken!;
      const name = join("bright-smile-dental", `${callId}-${epoch}-${sequence}.json`);
      const card = await written(join(server.dataDirectory, "messages", name));
      const pii = { ...factsOf(journal, "callStarted")[0]!.pii, ...taken!.pii };
      t.match(card, { carrierCallId: call.callSid, audioFile, pii }, outage);
      const failed = factsOf(journal, "providerFailed").at(-1)!;
      t.match(failed.code, code, outage);
    }
    t.match(
      (await server.admin("/metrics")).text,
      /lumentra_provider_errors_total\{provider="groq",code="LLM_/,
    );
  },
);

void t.test(
  "admission: over the tenant's cap, without a slot and while draining callers get the overflow",
  { buffered: true },
  async (t) => {
    const server = await startTestNode(t, {
      environment: { LUMENTRA_CALLS_PER_SHARD: "3" },
      tenants: {
        "bright-smile-dental": {
          limits: { concurrentCalls: 1 },
          overflow: { kind: "message", text: "Please call later." },
        },
        "trattoria-lucia": { overflow: { kind: "busy" } },
      },
    });
    const first = await server.call();
    const overCap = await server.call();
    t.match(await overCap.ended, { outcome: { kind: "agentHungUp" }, stats: { streamCount: 0 } });
    const restaurant = { to: "+12025550102" };
    const others = [await server.call(restaurant), await server.call(restaurant)];
    const withoutSlot = await server.call(restaurant);
    t.match(await withoutSlot.ended, { outcome: { kind: "rejected" } });
    for (const call of others) call.hangUp();
    await Promise.all(others.map((call) => server.journal(call)));
    const unknown = await server.call({ to: "+12025550199" });
    t.match(await unknown.ended, { outcome: { kind: "rejected" } });

    const drained = server.node.drain(20_000);
    const late = await server.call(restaurant);
    t.match(await late.ended, { outcome: { kind: "rejected" } });
    t.equal((await server.admin("/healthz/ready")).status, 503);
    t.equal((await server.admin("/healthz/live")).status, 200);
    await first.waitForReply(0);
    const said = await first.say("Is there parking?");
    await first.waitForReply(said.endedAtMs);
    t.match(first.heardText(said.endedAtMs), /free parking/, "a live call goes on while draining");
    first.hangUp();
    await drained;
    const metrics = (await server.admin("/metrics")).text;
    for (const reason of ["tenantCap", "noSlot", "unknownNumber", "draining"]) {
      t.match(metrics, new RegExp(`lumentra_admission_refusals_total\\{reason="${reason}"\\} 1`));
    }
  },
);

/** The file, once it is there and whole. */
async function written(path: string): Promise<unknown> {
  for (let attempt = 0; attempt < 250; attempt += 1) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (text.endsWith("\n")) return JSON.parse(text) as unknown;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${path} was not written`);
}
