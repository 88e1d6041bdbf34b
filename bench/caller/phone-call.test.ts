import { once } from "node:events";
import { createServer } from "node:net";
import t from "tap";
import { VirtualClock } from "#runtime/actor";
import { StallingClock } from "../../runtime/actor/stalling-clock.fixture.js";
import { placeCall } from "./place-call.js";
import { type PeerScript, ScriptedPeer, sendClear, sendMark, sendMedia } from "./scripted-peer.js";
import { runScript } from "./script.js";
import { spoken } from "./speaking-peer.js";
import { signForm, signUpgrade } from "./signature.js";

const TO = "+12025550101";
const HANGUP = "<Response><Hangup/></Response>";

async function listen(
  t: { teardown(act: () => Promise<void>): void },
  script: PeerScript,
): Promise<ScriptedPeer> {
  const peer = await ScriptedPeer.listen(script);
  t.teardown(() => peer.close());
  return peer;
}

void t.test(
  "the webhook and the upgrade are signed over the public URL, the markup's parameters come back",
  async (t) => {
    const peer = await listen(t, { answer: (_webhook, peer) => peer.connectMarkup("/twilio/media/t0k") });
    const call = await placeCall({ nodeUrl: peer.url, to: TO, from: "+15550100009", authToken: "secret" });
    const webhook = peer.webhooks[0]!;
    t.equal(webhook.path, "/twilio/voice");
    t.match(webhook.parameters, {
      CallSid: call.callSid,
      To: TO,
      Called: TO,
      From: "+15550100009",
      CallStatus: "ringing",
      Direction: "inbound",
      CallerCity: "",
    });
    const publicUrl = `http://localhost:${peer.port}/twilio/voice`;
    t.equal(webhook.headers["x-twilio-signature"], signForm("secret", publicUrl, webhook.parameters));
    const socket = peer.sockets[0]!;
    await socket.started;
    t.equal(socket.headers["x-twilio-signature"], signUpgrade("secret", `${peer.wsUrl}/twilio/media/t0k`));
    t.equal(socket.headers["sec-websocket-extensions"], undefined);
    t.match(socket.messages[1], { start: { callSid: call.callSid, customParameters: { session: "s-1" } } });
    call.hangUp();
    const { outcome } = await call.ended;
    t.same(outcome, { kind: "callerHungUp" });
    t.equal(await socket.closed, 1000);
    t.equal(socket.messages.at(-1)?.event, "stop");
    t.equal(peer.webhooks.length, 1, "no redirect after the caller's own hang-up");
  },
);

void t.test("gaps are counted as they happen, not only when the stream is over", async (t) => {
  const peer = await listen(t, { answer: (_webhook, peer) => peer.connectMarkup("/m") });
  const clock = new VirtualClock();
  const call = await placeCall({ nodeUrl: peer.url, to: TO, clock });
  const socket = peer.sockets[0]!;
  await socket.started;
  const play = async (): Promise<void> => {
    const played = new Promise<void>((resolve) => call.onMedia(() => resolve()));
    sendMedia(socket, new Uint8Array(8 * 100));
    await played;
  };
  await play();
  clock.advance(130);
  t.match(call.spurts, [{ underrunCount: 0 }]);
  await play();
  t.match(call.spurts, [{ underrunCount: 1, underrunMs: 30 }]);
  t.equal(call.stats.underrunCount, 0, "stats have it once the stream is over");
  call.hangUp();
  clock.advance(100);
  t.equal((await call.ended).stats.underrunCount, 1);
});

void t.test("a phone that stood still has not listened to silence: it listens again", async (t) => {
  const peer = await listen(t, { answer: (_webhook, peer) => peer.connectMarkup("/m") });
  const clock = new StallingClock();
  const call = await placeCall({ nodeUrl: peer.url, to: TO, clock });
  const socket = peer.sockets[0]!;
  await socket.started;
  const played = new Promise<void>((resolve) => call.onMedia(() => resolve()));
  sendMedia(socket, spoken("Hello there."));
  await played;
  let isQuiet = false;
  const quiet = call.waitForSilence(700).then(() => (isQuiet = true));
  const veryQuiet = call.waitForSilence(4_000);
  const step = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  // Its audio ran out long ago, and the word that ends it is looked at before the frame is.
  clock.stall(5_000, 20);
  await step();
  t.equal(isQuiet, false, "nobody listened");
  clock.advance(560);
  await step();
  t.equal(isQuiet, false, "nor for long enough since then");
  clock.advance(80);
  await quiet;
  clock.advance(400);
  await veryQuiet; // it was silent in between, too
  call.hangUp();
  clock.advance(100);
  await call.ended;
});

void t.test(
  "new parameters are signed like the others, and a repeated webhook is the same call",
  async (t) => {
    const peer = await listen(t, {
      answer: (_webhook, peer) => peer.connectMarkup(`/m${peer.webhooks.length}`),
    });
    const extraParameters = { NewInNovember: "ä & b" };
    const call = await placeCall({
      nodeUrl: peer.url,
      to: TO,
      authToken: "secret",
      extraParameters,
      repeatWebhook: true,
    });
    const [first, second] = peer.webhooks;
    t.equal(first!.parameters.CallSid, second!.parameters.CallSid);
    t.equal(first!.parameters.NewInNovember, "ä & b");
    const publicUrl = `http://localhost:${peer.port}/twilio/voice`;
    t.equal(first!.headers["x-twilio-signature"], signForm("secret", publicUrl, first!.parameters));
    t.equal(peer.sockets[0]!.path, "/m2", "the last answer counts");
    call.hangUp();
    await call.ended;
  },
);

void t.test(
  "SignalWire signs the webhook with its own header and sends the bearer token it was given",
  async (t) => {
    const peer = await listen(t, {
      answer: (_webhook, peer) =>
        `<Response><Connect><Stream url="${peer.wsUrl}/signalwire/media/x" authBearerToken="b34r"/></Connect></Response>`,
    });
    const call = await placeCall({ nodeUrl: peer.url, to: TO, carrier: "signalwire", authToken: "key" });
    t.equal(peer.webhooks[0]!.path, "/signalwire/voice");
    t.type(peer.webhooks[0]!.headers["x-signalwire-signature"], "string");
    t.equal(peer.sockets[0]!.headers.authorization, "Bearer b34r");
    t.equal(peer.sockets[0]!.headers["x-twilio-signature"], undefined);
    t.match(call.callSid, /^[0-9a-f]{8}-/);
    call.hangUp();
    await call.ended;
  },
);

void t.test(
  "when the node closes the stream the redirect is followed for the same call, to its end",
  async (t) => {
    const peer = await listen(t, {
      answer: (webhook, peer) => (webhook.path === "/after" ? HANGUP : peer.connectMarkup("/m")),
      onSocket: (socket) => {
        void socket.started.then(() => {
          sendMedia(socket, spoken("Goodbye."));
          sendMark(socket, "end");
          socket.socket.on("message", (data: Buffer) => {
            if (data.toString().includes('"event":"mark"')) socket.socket.close(1000);
          });
        });
      },
    });
    const call = await placeCall({ nodeUrl: peer.url, to: TO });
    const { failure, result } = await runScript(call, [{ kind: "waitForAgentToHangUp" }]);
    t.equal(failure, null);
    t.same(result.outcome, { kind: "agentHungUp" });
    t.same(
      result.heard.map((word) => word.word),
      ["Goodbye."],
    );
    t.ok(result.stats.unplayedMs < 1, "the mark said when everything was played");
    t.match(peer.webhooks[1]!.parameters, { CallSid: call.callSid, CallStatus: "in-progress" });
  },
);

void t.test("a second stream of the same call goes on where the first broke off", async (t) => {
  const peer = await listen(t, {
    answer: (_webhook, peer) => {
      const markup = peer.connectMarkup(`/m${peer.sockets.length}`);
      return peer.sockets.length === 0 ? markup : markup.replace("<Connect>", '<Pause length="1"/><Connect>');
    },
    onSocket: (socket) => {
      if (socket.path === "/m1") void socket.started.then(() => sendMedia(socket, spoken("Back again.")));
      // The first breaks off after a fifth of a second.
      else socket.socket.on("message", () => socket.messages.length > 12 && socket.socket.terminate());
    },
  });
  const call = await placeCall({ nodeUrl: peer.url, to: TO, record: true });
  // Longer than its line lasts.
  const said = await call.say("one two three");
  t.match(said, { isCutOff: true }, "who is cut off is told so, and may say it again");
  t.equal(call.stats.streamCount, 2, "once there is a line to say it on");
  t.equal(call.said.length, 0, "it was not said");
  await call.waitForHeard((text) => text === "Back again.");
  t.equal(call.stats.streamCount, 2);
  t.not(peer.sockets[0]!.streamSid(), peer.sockets[1]!.streamSid());
  call.hangUp();
  const { recording, heard } = await call.ended;
  const firstSound = recording!.agent.toSamples().findIndex((sample) => sample !== 0) / 8;
  t.ok(Math.abs(firstSound - heard[0]!.startMs) < 25, `${firstSound} ms: both streams are on one timeline`);
  t.ok(firstSound > 1_200, "after the first stream");
});

void t.test("a busy node, a refused webhook, bad markup and a refused upgrade are told apart", async (t) => {
  const outcomeOf = async (script: PeerScript): Promise<unknown> => {
    const peer = await listen(t, script);
    const call = await placeCall({ nodeUrl: peer.url, to: TO });
    return (await call.ended).outcome;
  };
  t.same(await outcomeOf({ answer: () => '<Response><Reject reason="busy"/></Response>' }), {
    kind: "rejected",
    reason: "busy",
  });
  t.match(await outcomeOf({ answer: () => 403 }), { kind: "webhookFailed", detail: /403/ });
  t.match(await outcomeOf({ answer: () => "<Nonsense/>" }), { kind: "webhookFailed", detail: /Response/ });
  t.match(await outcomeOf({ answer: (_webhook, peer) => peer.connectMarkup("/m"), upgrade: () => 401 }), {
    kind: "mediaFailed",
    detail: /31920.*401/,
  });
  t.match(await outcomeOf({ answer: () => "<Response><Redirect>/again</Redirect></Response>" }), {
    kind: "webhookFailed",
    detail: /circle/,
  });
});

void t.test("where no node listens the error says so and how to start one", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  await t.rejects(placeCall({ nodeUrl: `http://127.0.0.1:${port}`, to: TO }), {
    code: "CALLER_NODE_UNREACHABLE",
    message: /No node is listening at .*npm start/,
  });
});

void t.test("a barge-in waits for the agent's speech, and what was cut was not heard", async (t) => {
  const text = "We are open every day from nine in the morning until five in the afternoon";
  const peer = await listen(t, {
    answer: (webhook, peer) => (webhook.path === "/after" ? HANGUP : peer.connectMarkup("/m")),
    onSocket: (socket) => {
      const silence = Buffer.alloc(160, 0xff).toString("base64");
      let cleared = false;
      void socket.started.then(() => sendMedia(socket, spoken(text)));
      socket.socket.on("message", (data: Buffer) => {
        if (cleared || !data.toString().includes('"event":"media"') || data.toString().includes(silence))
          return;
        cleared = true;
        sendClear(socket);
      });
    },
  });
  const call = await placeCall({ nodeUrl: peer.url, to: TO });
  const { failure, result } = await runScript(call, [
    { kind: "bargeIn", afterMs: 1_000, text: "Stop please" },
  ]);
  t.equal(failure, null);
  const heard = result.heard.map((word) => word.word);
  t.same(heard, text.split(" ").slice(0, heard.length), "a beginning of what was said");
  t.ok(heard.length > 0 && heard.length < text.split(" ").length, `heard ${heard.length} words`);
  t.match(result.spurts, [{ cut: true }]);
  t.equal(result.stats.clears, 1);
});

void t.test("every wait ends with the call", async (t) => {
  const peer = await listen(t, { answer: (_webhook, peer) => peer.connectMarkup("/m") });
  const call = await placeCall({ nodeUrl: peer.url, to: TO });
  const waits = [
    call.waitForHeard(() => false),
    call.waitForReply(0),
    call.say("This is never said to its end, since the line breaks"),
  ];
  const settled = Promise.allSettled(waits);
  call.dropLine();
  t.same((await call.ended).outcome, { kind: "dropped" });
  for (const wait of await settled) {
    t.equal(wait.status, "rejected");
    t.match(wait.status === "rejected" && wait.reason, { code: "CALLER_CALL_ENDED" });
  }
  await t.rejects(call.say("hello?"), { code: "CALLER_CALL_ENDED" });
  t.equal(await peer.sockets[0]!.closed, 1006, "no close frame");
});

void t.test(
  "a step that does not come true ends the script with its reason and the call with it",
  async (t) => {
    const peer = await listen(t, { answer: (_webhook, peer) => peer.connectMarkup("/m") });
    const call = await placeCall({ nodeUrl: peer.url, to: TO });
    const { failure, result } = await runScript(call, [
      { kind: "silence", ms: 20 },
      { kind: "waitForAgent", timeoutMs: 60 },
      { kind: "say", text: "never said" },
    ]);
    t.match(failure, { stepIndex: 1, reason: /Waited 60 ms for the agent's reply/ });
    t.same(result.outcome, { kind: "callerHungUp" });
    t.same(result.said, []);
  },
);
