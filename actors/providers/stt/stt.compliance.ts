/**
 * What every recogniser must do, run against its real client and a server that speaks its protocol.
 *
 * The provider runs on virtual time, so that its deadlines pass when the suite says so; the server on the
 * machine's. A vendor's test brings a `SttBench`: how to start one and how to make its server misbehave.
 */
import { inspect } from "node:util";
import t, { type Test } from "tap";
import { VirtualClock, seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { KeptLog, advanceUntil, PLANTED_KEY, eventually, quietTurns } from "../compliance-kit.js";
import type { ProviderDeps } from "../registry.js";
import type { SttProvider, SttRequest } from "./provider.js";
import { Listening, PAUSE_FRAMES, SILENCE } from "./stt.witness.js";

/** What befalls the next connection, or one that is open. */
export type SttConnectFault =
  | { readonly kind: "refuse"; readonly status: number; readonly message?: string }
  | { readonly kind: "neverAnswer" }
  | { readonly kind: "dropHandshake" };
export type SttLiveFault = "close" | "drop" | "error" | "garbage" | "halfOpen" | "unknownMessage";

export interface SttServer {
  /** For the next connection. */
  failNext(fault: SttConnectFault): void;
  /** Takes back what has not struck. */
  clearFaults(): void;
  /** Every open stream. */
  strike(fault: SttLiveFault): void;
  openCount(): number;
  openedSinceStart(): number;
}

export interface SttBench {
  readonly name: string;
  readonly server: SttServer;
  /** With PLANTED_KEY as its key, which the server accepts, and `warmPerKind` sockets ahead for each kind. */
  start(deps: ProviderDeps, options: { readonly warmPerKind: number }): SttProvider;
  /** A request for plain µ-law at 8 kHz. */
  readonly model: string;
  /** It has no sockets of its own: each utterance is a request, and nothing is held ahead. @default false */
  readonly isBatch?: boolean;
  /** How long a recogniser that hears speech may say nothing. @default 4 to 10 s */
  readonly gaveUpAfterMs?: readonly [leastMs: number, mostMs: number];
  /** Audio of a sentence, µ-law at 8 kHz. */
  speak(text: string): Uint8Array;
}

interface Rig {
  readonly provider: SttProvider;
  readonly clock: VirtualClock;
  readonly log: KeptLog;
  readonly errorsCounted: string[];
}

export function sttCompliance(bench: SttBench): void {
  const { server, name } = bench;
  const clocks = new WeakMap<SttProvider, VirtualClock>();
  let openRigs = 0;

  function rig(t: Test, options: { warmPerKind?: number } = {}): Rig {
    const clock = new VirtualClock();
    const log = new KeptLog();
    const errorsCounted: string[] = [];
    const deps = {
      clock,
      log,
      random: seededRandom(1),
      onProviderError: (provider: string, code: string) => void errorsCounted.push(`${provider} ${code}`),
    };
    const provider = bench.start(deps, { warmPerKind: 0, ...options });
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

  function request(callId = "call-1"): SttRequest {
    return { callId, model: bench.model, language: "en", format: MULAW_8K, keyterms: ["Ava"] };
  }

  function open(provider: SttProvider, callId?: string): Listening {
    return new Listening(provider, request(callId), clocks.get(provider)!);
  }

  void t.test(`${name}: a sentence is heard word by word and closed by one pause`, async (t) => {
    const { provider } = rig(t);
    const call = open(provider);
    call.say(bench.speak("Is there parking near you"));
    await call.untilPause();
    t.equal(call.heard(), "is there parking near you");
    const names = call.recorder.names();
    t.ok(names.indexOf("onInterim") < names.indexOf("onFinal"), "interims came first");
    const final = call.finals().find(({ text }) => text !== "")!;
    let lastMs = 0;
    for (const { startMs, endMs } of final.words) {
      t.ok(startMs >= lastMs && endMs > startMs && endMs <= call.writtenMs, `${startMs} to ${endMs}`);
      lastMs = startMs;
    }
    t.same(call.recorder.faults, []);
  });

  void t.test(`${name}: what is written before the socket is open is not lost`, async (t) => {
    const { provider } = rig(t);
    const call = open(provider);
    call.say(bench.speak("one two three"), 0);
    t.equal(server.openCount(), 0, "not open yet");
    await call.recorder.untilEvent("onInterim");
    call.pause();
    await call.untilPause();
    t.equal(call.heard(), "one two three");
  });

  void t.test(`${name}: it says once that it is ready, before all else, on a warm socket too`, async (t) => {
    const cold = open(rig(t).provider);
    const { provider } = rig(t, { warmPerKind: 1 });
    await provider.warm(request());
    const warm = open(provider);
    for (const call of [cold, warm]) {
      call.say(bench.speak("hello"));
      await call.untilPause();
      t.equal(call.recorder.names()[0], "onReady");
      t.equal(call.recorder.values("onReady").length, 1);
      t.same(call.recorder.faults, []);
    }
  });

  void t.test(`${name}: the caller's buffer may be reused at once`, async (t) => {
    const { provider } = rig(t);
    const call = open(provider);
    const audio = bench.speak("one two three");
    const buffer = Buffer.alloc(160);
    for (let at = 0; at < audio.length; at += 160) {
      buffer.fill(0xff).set(audio.subarray(at, at + 160));
      call.write(buffer);
      buffer.fill(0x00);
    }
    call.pause();
    await call.untilPause();
    t.equal(call.heard(), "one two three");
  });

  void t.test(`${name}: times count from the call's first byte, on a socket opened ahead too`, async (t) => {
    const cold = open(rig(t).provider);
    cold.say(bench.speak("hello"));
    await cold.untilPause();
    const { provider } = rig(t, { warmPerKind: 1 });
    await provider.warm(request());
    const warm = open(provider);
    warm.say(bench.speak("hello"));
    await warm.untilPause();
    const [coldWord, warmWord] = [cold, warm].map((call) => call.words()[0]!);
    t.ok(coldWord !== undefined && warmWord !== undefined);
    const apartMs = Math.abs(coldWord!.startMs - warmWord!.startMs);
    t.ok(apartMs <= 20, `${apartMs} ms apart`);
  });

  void t.test(`${name}: streams at the same time never mix`, async (t) => {
    const { provider } = rig(t);
    const sentences = ["red apple", "blue ocean", "green garden", "white winter", "black coffee"];
    const calls = sentences.map((sentence, index) => ({ sentence, call: open(provider, `call-${index}`) }));
    const audio = sentences.map((sentence) => bench.speak(sentence));
    const longest = Math.max(...audio.map((bytes) => bytes.length));
    for (let at = 0; at < longest + PAUSE_FRAMES * 160; at += 160) {
      for (const [index, { call }] of calls.entries()) {
        const frame = audio[index]!.subarray(at, at + 160);
        if (frame.length === 160) call.write(frame);
        else call.write(SILENCE, false);
      }
    }
    for (const { sentence, call } of calls) {
      await call.untilPause();
      t.equal(call.heard(), sentence);
      t.same(call.recorder.faults, []);
    }
  });

  void t.test(`${name}: a closed stream is silent and its socket goes`, async (t) => {
    const { provider, log } = rig(t);
    const call = open(provider);
    call.say(bench.speak("one two three four five"), 0);
    await call.recorder.untilEvent("onInterim");
    if (bench.isBatch !== true) t.equal(server.openCount(), 1);
    call.close();
    call.close();
    call.write(SILENCE);
    call.finalize();
    await eventually(() => server.openCount() === 0);
    await quietTurns();
    t.same(call.recorder.faults, []);
    t.equal(call.recorder.error, null);
    t.same(log.lines, []);
  });

  void t.test(`${name}: a stream closed before its socket is open never opens one for long`, async (t) => {
    const { provider } = rig(t);
    const call = open(provider);
    call.close();
    await provider.close();
    await eventually(() => server.openCount() === 0);
    t.same(call.recorder.events, []);
  });

  const refusals = [
    [400, "STT_REJECTED"],
    [401, "STT_UNAUTHORIZED"],
    [402, "STT_UNAUTHORIZED"],
    [403, "STT_UNAUTHORIZED"],
    [429, "STT_RATE_LIMITED"],
    [500, "STT_CONNECT_FAILED"],
    [503, "STT_CONNECT_FAILED"],
  ] as const;
  for (const [status, code] of refusals) {
    void t.test(`${name}: a connection refused with ${status} ends the stream with ${code}`, async (t) => {
      const { provider, errorsCounted } = rig(t);
      server.failNext({ kind: "refuse", status });
      const call = open(provider);
      call.say(bench.speak("hello"));
      const error = await call.recorder.untilError();
      t.equal(error.code, code);
      t.match(error.detail, { status });
      const told = bench.isBatch === true ? ["onReady", "onSpeechStarted", "onError"] : ["onError"];
      t.same(call.recorder.names(), told);
      t.same(call.recorder.faults, []);
      t.same(errorsCounted, [`${name} ${code}`]);
    });
  }

  const unlessBatch = { skip: bench.isBatch === true && "each utterance is a request, no socket is held" };
  void t.test(`${name}: a handshake that breaks or never ends is a typed error`, unlessBatch, async (t) => {
    const { provider, clock } = rig(t);
    server.failNext({ kind: "dropHandshake" });
    t.equal((await open(provider).recorder.untilError()).code, "STT_CONNECT_FAILED");
    server.failNext({ kind: "neverAnswer" });
    const call = open(provider);
    await quietTurns(); // the dial is under way
    t.equal(call.recorder.error, null);
    clock.advance(5_000);
    const error = await call.recorder.untilError();
    t.equal(error.code, "STT_TIMEOUT");
    t.match(error.detail, { phase: "connect" });
  });

  void t.test(
    `${name}: audio that waits for a socket is bounded, and passing the bound is an error`,
    async (t) => {
      const { provider } = rig(t);
      server.failNext({ kind: "neverAnswer" });
      const call = open(provider);
      for (let frame = 0; frame < 50 * 60 && call.recorder.error === null; frame++) call.write(SILENCE);
      const error = await call.recorder.untilError();
      t.equal(error.code, "STT_OVERFLOW");
      t.same(call.recorder.faults, []);
      t.ok(call.writtenMs > 1_000);
    },
  );

  const strikes = [
    ["close", "STT_STREAM_BROKEN"],
    ["drop", "STT_STREAM_BROKEN"],
    ["error", "STT_STREAM_BROKEN"],
    ["garbage", "STT_PROTOCOL_ERROR"],
  ] as const;
  for (const [fault, code] of strikes) {
    void t.test(`${name}: ${fault} in mid-stream ends the stream with ${code}, once`, async (t) => {
      const { provider } = rig(t);
      const call = open(provider);
      call.say(bench.speak("hello there"), 0);
      await call.recorder.untilEvent("onInterim");
      server.strike(fault);
      if (bench.isBatch === true) call.pause();
      const error = await call.recorder.untilError();
      t.equal(error.code, code);
      t.equal(error.retryable, true);
      call.write(SILENCE);
      call.finalize();
      call.close();
      await eventually(() => server.openCount() === 0);
      await quietTurns();
      t.same(call.recorder.faults, []);
      t.equal(call.recorder.values("onError").length, 1);
    });
  }

  void t.test(`${name}: a recogniser that hears speech and goes quiet is given up`, async (t) => {
    const { provider, clock } = rig(t);
    const call = open(provider);
    call.say(bench.speak("hello"));
    await call.untilPause();
    server.strike("halfOpen");
    const speaking = (): boolean => {
      for (let frame = 0; frame < 5; frame++) call.write(SILENCE, true);
      return call.recorder.error !== null;
    };
    await advanceUntil(clock, speaking);
    const error = await call.recorder.untilError();
    const waitedMs = call.recorder.errorAtMs - call.recorder.lastEventAtMs;
    const [leastMs, mostMs] = bench.gaveUpAfterMs ?? [4_000, 10_000];
    t.ok(waitedMs >= leastMs && waitedMs <= mostMs, `${waitedMs} ms`);
    t.equal(error.code, "STT_TIMEOUT");
    t.match(error.detail, { phase: bench.isBatch === true ? "firstEvent" : "betweenEvents" });
    t.same(call.recorder.faults, []);
  });

  void t.test(`${name}: a message of a type nobody knows is passed over`, async (t) => {
    const { provider } = rig(t);
    const call = open(provider);
    call.say(bench.speak("one"));
    await call.untilPause();
    server.strike("unknownMessage");
    call.say(bench.speak("two"));
    await call.untilPause(2);
    t.equal(call.heard(), "one two");
  });

  void t.test(
    `${name}: opening a stream on a warm socket costs no handshake, and the pool refills`,
    unlessBatch,
    async (t) => {
      const { provider, clock } = rig(t, { warmPerKind: 2 });
      const before = server.openedSinceStart();
      await provider.warm(request());
      await eventually(() => server.openedSinceStart() === before + 2);
      await provider.warm(request());
      await quietTurns();
      t.equal(server.openedSinceStart(), before + 2, "and no more are opened than asked for");
      const call = open(provider);
      call.say(bench.speak("hello"));
      await call.untilPause();
      t.equal(server.openedSinceStart(), before + 2);
      clock.advance(1_000);
      await eventually(() => server.openedSinceStart() === before + 3);
      t.equal(server.openCount(), 3);
      call.close();
      await eventually(() => server.openCount() === 2);
    },
  );

  void t.test(
    `${name}: a warm socket that is refused is tried again, ever more slowly`,
    unlessBatch,
    async (t) => {
      const { provider, clock, log, errorsCounted } = rig(t, { warmPerKind: 1 });
      const before = server.openedSinceStart();
      server.failNext({ kind: "refuse", status: 503 });
      await provider.warm(request()); // resolves although it failed
      t.match(log.lines, [
        { level: "warn", fields: { code: "STT_CONNECT_FAILED", status: 503, failureCount: 1 } },
      ]);
      t.same(errorsCounted, [`${name} STT_CONNECT_FAILED`]);
      server.failNext({ kind: "refuse", status: 503 });
      clock.advance(100);
      await quietTurns();
      t.equal(log.lines.length, 1, "not at once");
      clock.advance(160);
      await eventually(() => log.lines.length === 2);
      t.equal(server.openedSinceStart(), before);
      clock.advance(510);
      await eventually(() => server.openedSinceStart() === before + 1);
    },
  );

  void t.test(
    `${name}: closing the provider ends open streams with STT_CLOSED and every socket`,
    async (t) => {
      const { provider } = rig(t, { warmPerKind: 1 });
      await provider.warm(request());
      const warm = open(provider);
      const cold = open(provider, "call-2");
      const closed = warm.recorder.calling(() => cold.recorder.calling(() => provider.close()));
      t.equal((await warm.recorder.untilError()).code, "STT_CLOSED");
      t.equal((await cold.recorder.untilError()).code, "STT_CLOSED");
      await closed;
      await eventually(() => server.openCount() === 0);
      const late = open(provider);
      t.equal((await late.recorder.untilError()).code, "STT_CLOSED");
      for (const call of [warm, cold, late]) t.same(call.recorder.faults, []);
    },
  );

  void t.test(
    `${name}: the key is in no error and no log line, even if the server repeats it`,
    unlessBatch,
    async (t) => {
      const { provider, log, clock } = rig(t, { warmPerKind: 1 });
      server.failNext({ kind: "refuse", status: 401, message: `Bad key ${PLANTED_KEY}` });
      await provider.warm(request());
      server.failNext({ kind: "refuse", status: 401, message: `Bad key ${PLANTED_KEY}` });
      const error = await open(provider).recorder.untilError();
      t.equal(error.code, "STT_UNAUTHORIZED");
      server.failNext({ kind: "dropHandshake" });
      const dropped = await open(provider).recorder.untilError();
      server.failNext({ kind: "neverAnswer" });
      const late = open(provider);
      await quietTurns();
      clock.advance(5_000);
      const all = inspect([error, dropped, await late.recorder.untilError()], {
        depth: null,
        showHidden: true,
      });
      t.notMatch(all + log.text, PLANTED_KEY);
      t.match(all, "Bad key [key]", "the rest of what it said is kept, under pii");
      t.ok(log.lines.length > 0);
    },
  );

  void t.test(`${name}: a handler that throws disturbs neither its stream nor another`, async (t) => {
    const { provider, log } = rig(t);
    const throwing = open(provider, "call-1");
    throwing.onEachEvent = () => {
      throw new Error("handler's fault");
    };
    const other = open(provider, "call-2");
    for (const call of [throwing, other]) call.say(bench.speak("hello"));
    await throwing.untilPause();
    await other.untilPause();
    t.equal(throwing.heard(), "hello");
    t.equal(other.heard(), "hello");
    t.match(log.lines[0], { level: "error", fields: { callId: "call-1" } });
  });
}
