/**
 * What every voice must do, run against its real client and a server that speaks its protocol.
 *
 * The provider runs on virtual time, so that its deadlines pass when the suite says so; the server on the
 * machine's. A vendor's test brings a `TtsBench`.
 */
import { inspect } from "node:util";
import t, { type Test } from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { type AudioFormat, MULAW_8K, bytesPerMs } from "#runtime/media";
import { KeptLog, advanceUntil, PLANTED_KEY, eventually, quietTurns } from "../compliance-kit.js";
import type { ProviderDeps } from "../registry.js";
import type { TtsProvider, TtsVoice } from "./provider.js";
import { Speaking } from "./tts.witness.js";

/** What befalls the next connection. */
export type TtsConnectFault =
  | { readonly kind: "refuse"; readonly status: number; readonly message?: string }
  | { readonly kind: "neverAnswer" }
  | { readonly kind: "dropHandshake" };
/** What befalls every open connection, now. */
export type TtsLiveFault = "close" | "drop" | "connectionError" | "garbage" | "halfOpen";
/** What befalls the next reply. */
export type TtsReplyFault =
  | { readonly kind: "error"; readonly status: number; readonly message?: string }
  | { readonly kind: "lateFirstAudio" | "stall" | "neverDone" | "oddBytes" | "audioAfterCancel" };

export interface TtsServer {
  failNextConnection(fault: TtsConnectFault): void;
  strike(fault: TtsLiveFault): void;
  /** Takes back what has not struck. */
  clearFaults(): void;
  failNextReply(fault: TtsReplyFault): void;
  openCount(): number;
  openedSinceStart(): number;
  /** Forgets the contexts into which nothing comes; left out, a second does. */
  forget?(): void;
  /** Replies being spoken. */
  activeReplies(): number;
  /** Everything this call had spoken, in the order of its contexts. */
  spoken(callId: string): readonly string[];
}

export interface TtsBench {
  readonly name: string;
  readonly server: TtsServer;
  readonly model: string;
  /** Replies that go over one connection at once. @default 10 */
  readonly repliesShared?: number;
  /** Each clause is a request of its own: what is said of shared connections does not apply. @default false */
  readonly isPerRequest?: boolean;
  /** With PLANTED_KEY as its key, which the server accepts. */
  start(
    deps: ProviderDeps,
    options: {
      readonly repliesPerConnection?: number;
      readonly connectionsMax?: number;
    },
  ): TtsProvider;
  /** The words in audio of this format, without case and punctuation. */
  decode(audio: Uint8Array, format: AudioFormat): string;
}

interface Rig {
  readonly provider: TtsProvider;
  readonly clock: VirtualClock;
  readonly log: KeptLog;
  readonly errorsCounted: string[];
}

export function ttsCompliance(bench: TtsBench): void {
  const { server, name, isPerRequest = false } = bench;
  const clocks = new WeakMap<TtsProvider, VirtualClock>();
  const sharedOnly = { skip: isPerRequest ? "each clause is a request of its own" : false };
  let openRigs = 0;

  function rig(t: Test, options: Parameters<TtsBench["start"]>[1] = {}): Rig {
    const clock = new VirtualClock();
    const log = new KeptLog();
    const errorsCounted: string[] = [];
    const deps = {
      clock,
      log,
      random: seededRandom(1),
      onProviderError: (provider: string, code: string) => void errorsCounted.push(`${provider} ${code}`),
    };
    const provider = bench.start(deps, options);
    clocks.set(provider, clock);
    t.teardown(async () => {
      server.clearFaults();
      await provider.close();
      openRigs -= 1;
      if (openRigs === 0) await eventually(() => server.openCount() === 0);
    });
    openRigs += 1;
    return { provider, clock, log, errorsCounted };
  }

  function voiceOf(format: AudioFormat): TtsVoice {
    return { model: bench.model, voice: "a-voice", language: "en", format };
  }

  let nextCall = 0;
  function speak(provider: TtsProvider, text?: string, format: AudioFormat = MULAW_8K): Speaking {
    nextCall += 1;
    const callId = `${name}-call-${nextCall}-`;
    const request = { callId, ...voiceOf(format) };
    const reply = new Speaking(provider, request, clocks.get(provider)!);
    if (text !== undefined) {
      reply.push(text);
      reply.finish();
    }
    return reply;
  }

  const formats: readonly AudioFormat[] = [
    MULAW_8K,
    { encoding: "alaw", sampleRateHz: 8000 },
    { encoding: "l16le", sampleRateHz: 8000 },
    { encoding: "l16be", sampleRateHz: 16000 },
  ];
  for (const format of formats) {
    const what = `${format.encoding} at ${format.sampleRateHz} Hz`;
    void t.test(`${name}: a reply is spoken whole, in ${what}, with the time of each word`, async (t) => {
      const { provider, errorsCounted } = rig(t);
      const reply = speak(provider, "Good morning, how can I help you?", format);
      await reply.recorder.untilEvent("onDone");
      t.equal(bench.decode(reply.audio(), format), "good morning how can i help you");
      t.equal(
        reply.words.map(({ word }) => word).join(" "),
        "Good morning, how can I help you?",
        "as it stood in the text",
      );
      const audioMs = reply.audio().length / bytesPerMs(format);
      let lastMs = 0;
      for (const { startMs, endMs } of reply.words) {
        t.ok(startMs >= lastMs && endMs > startMs && endMs <= audioMs + 1, `${startMs} to ${endMs}`);
        lastMs = startMs;
      }
      t.same(reply.recorder.faults, []);
      t.same(errorsCounted, []);
    });
  }

  void t.test(`${name}: clauses pushed one by one are joined as they stand`, async (t) => {
    const { provider } = rig(t);
    const reply = speak(provider);
    for (const piece of ["Certainly, ", "the ", "table", " is", " ", "free", ".", " "]) reply.push(piece);
    reply.finish();
    reply.finish();
    reply.push("ignored");
    await reply.recorder.untilEvent("onDone");
    t.equal(server.spoken(reply.callId).join("").trim(), "Certainly, the table is free.");
    t.equal(bench.decode(reply.audio(), MULAW_8K), "certainly the table is free");
    t.same(reply.recorder.faults, []);
  });

  void t.test(`${name}: a reply without words is done without audio`, async (t) => {
    const { provider } = rig(t);
    const empty = speak(provider);
    empty.finish();
    const blank = speak(provider, "  ");
    for (const reply of [empty, blank]) {
      await reply.recorder.untilEvent("onDone");
      t.same(reply.recorder.names(), ["onDone"]);
      t.same(reply.recorder.faults, []);
    }
  });

  void t.test(`${name}: replies at the same time share a connection and never mix`, async (t) => {
    const { provider } = rig(t);
    const before = server.openedSinceStart();
    const words = ["apple", "banana", "cherry", "orange", "lemon", "melon", "grape", "peach", "plum", "fig"];
    const shared = words.slice(0, bench.repliesShared ?? words.length);
    const replies = shared.map((word) => speak(provider, `My favourite fruit is ${word}.`));
    for (const [index, reply] of replies.entries()) {
      await reply.recorder.untilEvent("onDone");
      t.equal(bench.decode(reply.audio(), MULAW_8K), `my favourite fruit is ${words[index]}`);
      t.same(reply.recorder.faults, []);
    }
    if (!isPerRequest) t.equal(server.openedSinceStart(), before + 1);
  });

  void t.test(`${name}: a connection opened ahead serves every later reply`, sharedOnly, async (t) => {
    const { provider } = rig(t);
    const before = server.openedSinceStart();
    await provider.warm(voiceOf(MULAW_8K));
    t.equal(server.openedSinceStart(), before + 1);
    for (let turn = 0; turn < 5; turn++) {
      await speak(provider, "Yes.").recorder.untilEvent("onDone");
    }
    await provider.warm(voiceOf(MULAW_8K));
    t.equal(server.openedSinceStart(), before + 1);
  });

  void t.test(
    `${name}: a cancelled reply is silent, is stopped at the server, and harms no other`,
    async (t) => {
      const { provider } = rig(t);
      server.failNextReply({ kind: "audioAfterCancel" });
      const cancelled = speak(provider, "This is a long reply that nobody wants to hear any more.");
      const other = speak(provider, "This one is wanted.");
      await cancelled.recorder.untilEvent("onAudio");
      cancelled.cancel();
      cancelled.cancel();
      cancelled.push("ignored");
      cancelled.finish();
      await other.recorder.untilEvent("onDone");
      await eventually(() => server.activeReplies() === 0);
      t.equal(bench.decode(other.audio(), MULAW_8K), "this one is wanted");
      t.same(cancelled.recorder.faults, []);
      const early = speak(provider, "Never mind.");
      early.cancel();
      await quietTurns();
      t.same(early.recorder.events, []);
      await eventually(() => server.activeReplies() === 0);
    },
  );

  void t.test(`${name}: cancelled from inside its own event, nothing more comes`, async (t) => {
    const { provider } = rig(t);
    const reply = speak(provider, "This is a long reply that nobody wants to hear.");
    reply.onEachEvent = () => reply.cancel();
    await reply.recorder.untilEvent("onAudio");
    await eventually(() => server.activeReplies() === 0);
    t.equal(reply.recorder.events.length, 1);
    t.same(reply.recorder.faults, []);
  });

  void t.test(`${name}: text that pauses goes on in the same reply, times too`, async (t) => {
    const { provider, clock } = rig(t);
    const reply = speak(provider);
    reply.push("One moment please. ");
    await reply.recorder.untilEvent("onWords");
    await eventually(() => server.spoken(reply.callId).length === 1);
    await reply.untilAudioOf(3);
    // Longer than any server keeps a context for; ours is finished in time, and a new one continues it.
    await advanceUntil(clock, () => server.activeReplies() === 0, 500);
    reply.push("The table is free.");
    reply.finish();
    await reply.recorder.untilEvent("onDone");
    t.equal(bench.decode(reply.audio(), MULAW_8K), "one moment please the table is free");
    const starts = reply.words.map(({ startMs }) => startMs);
    t.same(
      [...starts].sort((a, b) => a - b),
      starts,
      "times go on where they were",
    );
    t.ok(reply.words.at(-1)!.endMs <= reply.audio().length / 8 + 1);
    t.same(reply.recorder.faults, []);
  });

  void t.test(
    `${name}: a server that forgot the context in the pause gets what it missed again`,
    sharedOnly,
    async (t) => {
      const { provider } = rig(t);
      const reply = speak(provider);
      reply.push("One moment please. ");
      await eventually(() => server.activeReplies() === 1);
      await reply.untilAudioOf(3);
      // Its clock runs, ours stands still: we are late to finish the context.
      server.forget?.();
      await eventually(() => server.activeReplies() === 0);
      reply.push("The table is free.");
      reply.finish();
      await reply.recorder.untilEvent("onDone");
      t.equal(bench.decode(reply.audio(), MULAW_8K), "one moment please the table is free");
      t.same(reply.recorder.faults, []);
    },
  );

  const refusals = [
    [401, "TTS_UNAUTHORIZED"],
    [402, "TTS_UNAUTHORIZED"],
    [403, "TTS_UNAUTHORIZED"],
    [429, "TTS_RATE_LIMITED"],
    [500, "TTS_CONNECT_FAILED"],
    [503, "TTS_CONNECT_FAILED"],
  ] as const;
  for (const [status, code] of refusals) {
    void t.test(
      `${name}: a connection refused with ${status} ends the replies that wait with ${code}`,
      async (t) => {
        const { provider } = rig(t);
        server.failNextConnection({ kind: "refuse", status });
        const replies = [speak(provider, "Hello."), speak(provider, "Hello again.")];
        for (const reply of replies) {
          const error = await reply.recorder.untilError();
          t.equal(error.code, code);
          t.match(error.detail, { status });
          t.same(reply.recorder.names(), ["onError"]);
          t.same(reply.recorder.faults, []);
        }
      },
    );
  }

  void t.test(
    `${name}: after a failed dial replies fail at once until the next, which is not far`,
    sharedOnly,
    async (t) => {
      const { provider, clock } = rig(t);
      const before = server.openedSinceStart();
      server.failNextConnection({ kind: "refuse", status: 503 });
      await provider.warm(voiceOf(MULAW_8K)); // resolves although it failed
      t.equal((await speak(provider, "Hello.").recorder.untilError()).code, "TTS_CONNECT_FAILED");
      t.equal(server.openedSinceStart(), before);
      clock.advance(260);
      await eventually(() => server.openedSinceStart() === before + 1);
      const reply = speak(provider, "Hello.");
      await reply.recorder.untilEvent("onDone");
      t.same(reply.recorder.faults, []);
    },
  );

  void t.test(`${name}: a handshake that breaks or never ends is a typed error`, async (t) => {
    const { provider, clock } = rig(t);
    server.failNextConnection({ kind: "dropHandshake" });
    t.equal((await speak(provider, "Hello.").recorder.untilError()).code, "TTS_CONNECT_FAILED");
    server.failNextConnection({ kind: "neverAnswer" });
    clock.advance(260); // dials again
    await quietTurns();
    const reply = speak(provider, "Hello.");
    clock.advance(bench.isPerRequest === true ? 5_100 : 3_100);
    const error = await reply.recorder.untilError();
    t.equal(error.code, "TTS_TIMEOUT");
    t.match(error.detail, { phase: isPerRequest ? "firstEvent" : "connect" });
  });

  const strikes = [
    ["close", "TTS_STREAM_BROKEN"],
    ["drop", "TTS_STREAM_BROKEN"],
    ["connectionError", "TTS_STREAM_BROKEN"],
    ["garbage", "TTS_PROTOCOL_ERROR"],
  ] as const;
  for (const [fault, code] of strikes) {
    void t.test(
      `${name}: ${fault} ends every reply on the connection with ${code}, and the next has a new one`,
      sharedOnly,
      async (t) => {
        const { provider, clock } = rig(t);
        const replies = [speak(provider), speak(provider)];
        for (const reply of replies) {
          reply.push("This reply is going to be broken off, ");
          await reply.recorder.untilEvent("onAudio");
        }
        clock.advance(1_000); // it has served for a while
        for (const reply of replies) reply.push("in the middle of what it says, ");
        server.strike(fault);
        for (const reply of replies) {
          t.equal((await reply.recorder.untilError()).code, code);
          reply.push("ignored");
          reply.finish();
          reply.cancel();
        }
        await quietTurns();
        for (const reply of replies) {
          t.same(reply.recorder.faults, []);
          t.equal(reply.recorder.values("onError").length, 1);
          t.notOk(reply.recorder.names().includes("onDone"));
        }
        const next = speak(provider, "Hello.");
        await next.recorder.untilEvent("onDone");
      },
    );
  }

  const errors = [
    [400, "TTS_REJECTED"],
    [429, "TTS_RATE_LIMITED"],
    [500, "TTS_STREAM_BROKEN"],
  ] as const;
  // Where a request is all there is, 500 is an answer to it as at the door.
  for (const [status, code] of isPerRequest ? errors.slice(0, 2) : errors) {
    void t.test(
      `${name}: error ${status} for one reply ends that one with ${code} and no other`,
      async (t) => {
        const { provider } = rig(t);
        server.failNextReply({ kind: "error", status });
        const failed = speak(provider, "Hello.");
        const other = speak(provider, "Good morning.");
        const error = await failed.recorder.untilError();
        t.equal(error.code, code);
        t.match(error.detail, { status });
        await other.recorder.untilEvent("onDone");
        t.equal(bench.decode(other.audio(), MULAW_8K), "good morning");
        t.same([...failed.recorder.faults, ...other.recorder.faults], []);
      },
    );
  }

  const waits = [
    ["lateFirstAudio", "firstEvent"],
    ["stall", "betweenEvents"],
    ["neverDone", "betweenEvents"],
  ] as const;
  for (const [kind, phase] of waits) {
    void t.test(`${name}: ${kind} is a time-out ${phase}, not an end`, async (t) => {
      const { provider, clock } = rig(t);
      server.failNextReply({ kind });
      const reply = speak(provider, "This reply will never come to its end.");
      if (kind === "lateFirstAudio") await eventually(() => server.activeReplies() === 1);
      else await reply.recorder.untilEvent("onAudio");
      const askedAtMs = clock.nowMs();
      await advanceUntil(clock, () => reply.recorder.error !== null);
      const error = await reply.recorder.untilError();
      const waitedMs = reply.recorder.errorAtMs - Math.max(askedAtMs, reply.recorder.lastEventAtMs);
      t.ok(waitedMs >= 2_900 && waitedMs <= 3_200, `${waitedMs} ms`);
      t.equal(error.code, "TTS_TIMEOUT");
      t.match(error.detail, { phase });
      t.notOk(reply.recorder.names().includes("onDone"));
      t.same(reply.recorder.faults, []);
      await eventually(() => server.activeReplies() === 0);
    });
  }

  void t.test(`${name}: a connection that no longer answers is given up with all its replies`, async (t) => {
    const { provider, clock } = rig(t);
    await provider.warm(voiceOf(MULAW_8K));
    const reply = speak(provider);
    reply.push("Hello there, ");
    await reply.recorder.untilEvent("onAudio");
    server.strike("halfOpen");
    reply.push("are you still there?");
    reply.finish();
    await advanceUntil(clock, () => reply.recorder.error !== null);
    t.equal(reply.recorder.error?.code, "TTS_TIMEOUT");
  });

  void t.test(`${name}: chunks that end in half a sample come out in whole ones`, async (t) => {
    const { provider } = rig(t);
    const format = { encoding: "l16le", sampleRateHz: 8000 } as const;
    server.failNextReply({ kind: "oddBytes" });
    const reply = speak(provider, "Good morning to all of you.", format);
    await reply.recorder.untilEvent("onDone");
    t.ok(reply.chunkBytes.length > 3);
    t.ok(reply.chunkBytes.every((bytes) => bytes % 2 === 0));
    t.equal(bench.decode(reply.audio(), format), "good morning to all of you");
  });

  void t.test(
    `${name}: more replies than fit open another connection, and past the last they are refused`,
    sharedOnly,
    async (t) => {
      const { provider } = rig(t, { repliesPerConnection: 2, connectionsMax: 2 });
      await provider.warm(voiceOf(MULAW_8K));
      const before = server.openedSinceStart();
      const replies = Array.from({ length: 4 }, () => speak(provider));
      for (const reply of replies) reply.push("Hello there, how are you today, ");
      for (const reply of replies) await reply.recorder.untilEvent("onAudio");
      t.equal(server.openedSinceStart(), before + 1);
      const refused = speak(provider, "Hello.");
      t.equal((await refused.recorder.untilError()).code, "TTS_OVERFLOW");
      t.same(refused.recorder.faults, []);
      for (const reply of replies) reply.finish();
      for (const reply of replies) await reply.recorder.untilEvent("onDone");
      const next = speak(provider, "Hello.");
      await next.recorder.untilEvent("onDone");
    },
  );

  void t.test(`${name}: text that waits is bounded, and passing the bound is an error`, async (t) => {
    const { provider } = rig(t);
    server.failNextConnection({ kind: "neverAnswer" });
    const reply = speak(provider);
    for (let piece = 0; piece < 100; piece++) reply.push("word ".repeat(100));
    t.equal((await reply.recorder.untilError()).code, "TTS_OVERFLOW");
    t.same(reply.recorder.faults, []);
  });

  void t.test(
    `${name}: closing the provider ends replies with TTS_CLOSED and every connection`,
    async (t) => {
      const { provider } = rig(t);
      const reply = speak(provider);
      reply.push("Hello there, ");
      await reply.recorder.untilEvent("onAudio");
      const idle = speak(provider);
      const closed = reply.recorder.calling(() => idle.recorder.calling(() => provider.close()));
      for (const open of [reply, idle]) t.equal((await open.recorder.untilError()).code, "TTS_CLOSED");
      await closed;
      await eventually(() => server.openCount() === 0);
      const late = speak(provider, "Hello.");
      t.equal((await late.recorder.untilError()).code, "TTS_CLOSED");
      await provider.warm(voiceOf(MULAW_8K));
      for (const open of [reply, idle, late]) t.same(open.recorder.faults, []);
    },
  );

  void t.test(`${name}: neither key nor text is in an error's open fields or a log line`, async (t) => {
    const { provider, log } = rig(t);
    const secret = "my card number is 4111";
    server.failNextReply({ kind: "error", status: 400, message: `cannot say for ${PLANTED_KEY}: ${secret}` });
    const rejected = await speak(provider, secret).recorder.untilError();
    server.failNextConnection({ kind: "refuse", status: 401, message: `Bad key ${PLANTED_KEY}` });
    const other = rig(t);
    const refused = await speak(other.provider, secret).recorder.untilError();
    t.equal(refused.code, "TTS_UNAUTHORIZED");

    const shown = [rejected, refused].map((error) => {
      const { pii: _pii, ...open } = error.detail;
      return inspect([error.message, error.stack, error.cause, open], { depth: null, showHidden: true });
    });
    const all = shown.join() + log.text + other.log.text;
    t.notMatch(all, PLANTED_KEY);
    t.notMatch(all, secret);
    t.match(rejected.detail, { pii: { providerMessage: /cannot say for \[key\]/ } });
    if (!isPerRequest) t.ok(other.log.lines.length > 0, "a socket that could not be opened is logged");
  });

  void t.test(`${name}: a handler that throws disturbs no other reply on the connection`, async (t) => {
    const { provider, log } = rig(t);
    const throwing = speak(provider, "Good morning.");
    throwing.onEachEvent = () => {
      throw new Error("handler's fault");
    };
    const other = speak(provider, "Good evening.");
    for (const reply of [throwing, other]) await reply.recorder.untilEvent("onDone");
    t.equal(bench.decode(throwing.audio(), MULAW_8K), "good morning");
    t.equal(bench.decode(other.audio(), MULAW_8K), "good evening");
    t.ok(log.lines.length > 0);
  });
}
