/** Mailboxes, lanes, fairness, timers and pipes; supervision has a file of its own. */
import t from "tap";
import { actorWorld, props } from "./actor.fixture.js";
import { Actor, type ActorContext, type StopReason } from "./actor.js";

/** Writes down what it gets; some words are commands. */
class Recorder extends Actor<string> {
  readonly seen: string[] = [];
  context: ActorContext<string> | null = null;
  onMessage: (message: string, context: ActorContext<string>) => void = () => {};

  override preStart(context: ActorContext<string>): void {
    this.context = context;
    this.seen.push("preStart");
  }

  override receive(message: string, context: ActorContext<string>): void {
    this.seen.push(message);
    if (message === "stop") context.stop();
    this.onMessage(message, context);
  }

  override postStop(_context: ActorContext<string>, reason: StopReason): void {
    this.seen.push(`postStop:${reason.kind}`);
  }
}

void t.test("messages are handled one at a time, in order, and never on the teller's stack", (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  let depth = 0;
  recorder.onMessage = (message): void => {
    t.equal(++depth, 1);
    if (message === "a") ref.tell("told by itself");
    depth--;
  };
  t.equal(ref.tell("a"), "accepted");
  t.equal(ref.tell("b"), "accepted");
  t.same(recorder.seen, [], "nothing has run yet");
  settle();
  t.same(recorder.seen, ["preStart", "a", "b", "told by itself"]);
  t.end();
});

void t.test("a full mailbox refuses, counts it, and accepts again once there is room", (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder, { mailboxCapacity: 2 }));
  t.same([ref.tell("1"), ref.tell("2"), ref.tell("3")], ["accepted", "accepted", "full"]);
  t.match(system.stats(), { actorCount: 1, deepestMailbox: 2, refusedMessages: 1, deadLetters: 0 });
  settle();
  t.equal(ref.tell("4"), "accepted");
  settle();
  t.same(recorder.seen, ["preStart", "1", "2", "4"]);
  t.end();
});

void t.test("tellOnce of a waiting message adds nothing; after it was handled it is news again", (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  for (let i = 0; i < 5; i++) t.equal(ref.tellOnce("rings ready"), "accepted");
  settle();
  ref.tellOnce("rings ready");
  settle();
  t.same(recorder.seen, ["preStart", "rings ready", "rings ready"]);
  t.end();
});

void t.test("telling a constant allocates nothing", (t) => {
  const { system } = actorWorld({ throughput: 2_000 });
  const sink = new (class extends Actor<object> {
    override receive(): void {}
  })();
  const ref = system.spawn(props("sink", () => sink, { mailboxCapacity: 1_024 }));
  const message = { kind: "ringsReady" };
  const round = (): void => {
    for (let i = 0; i < 1_000; i++) {
      ref.tell(message);
      ref.tellOnce(message);
    }
    if (system.runReady() !== 1_001) t.fail("not every message was handled");
  };
  system.runReady();
  for (let i = 0; i < 50; i++) round();
  const rounds = 20;
  const bytesPerTell = Array.from({ length: 9 }, () => {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < rounds; i++) round();
    return (process.memoryUsage().heapUsed - before) / (rounds * 2_000);
  }).sort((a, b) => a - b);
  // An object per tell would be 12 bytes at the least; a collection may spoil some samples, not the median.
  t.ok(bytesPerTell[4]! < 4, `bytes per tell: ${bytesPerTell.join(" ")}`);
  t.end();
});

void t.test("a stop goes before waiting messages, which become dead letters", (t) => {
  const { system, settle, deadLetters } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  settle();
  ref.tell("waiting");
  system.stop(ref);
  settle();
  t.same(recorder.seen, ["preStart", "postStop:stopped"]);
  t.equal(ref.tell("late"), "stopped");
  t.equal(ref.tellOnce("late too"), "stopped");
  t.same(
    deadLetters.map((letter) => letter.message),
    ["waiting", "late", "late too"],
  );
  t.match(system.stats(), { actorCount: 0, deadLetters: 3 });
  t.end();
});

void t.test("an actor that stops itself handles nothing after that message", (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  for (const message of ["a", "stop", "b"]) ref.tell(message);
  settle();
  t.same(recorder.seen, ["preStart", "a", "stop", "postStop:stopped"]);
  t.end();
});

void t.test("a stop is accepted by an actor whose mailbox is full", (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder, { mailboxCapacity: 1 }));
  settle();
  ref.tell("fills it");
  t.equal(ref.tell("no room"), "full");
  system.stop(ref);
  settle();
  t.same(recorder.seen, ["preStart", "postStop:stopped"]);
  t.end();
});

void t.test("an actor stopped before its first turn is never created", (t) => {
  const { system, settle } = actorWorld();
  let created = 0;
  const ref = system.spawn(
    props("never", () => {
      created++;
      return new Recorder();
    }),
  );
  system.stop(ref);
  settle();
  t.equal(created, 0);
  t.equal(ref.tell("late"), "stopped");
  t.end();
});

void t.test("a busy actor yields after its throughput, so that others run in between", (t) => {
  const { system } = actorWorld({ throughput: 4 });
  const order: string[] = [];
  const make = (name: string): Actor<number> =>
    new (class extends Actor<number> {
      override receive(): void {
        order.push(name);
      }
    })();
  const busy = system.spawn(props("busy", () => make("busy"), { mailboxCapacity: 64 }));
  const calm = system.spawn(props("calm", () => make("calm")));
  for (let i = 0; i < 20; i++) busy.tell(i);
  calm.tell(0);
  const turns: number[] = [];
  for (let handled = system.runReady(); handled > 0; handled = system.runReady()) turns.push(handled);
  t.ok(order.indexOf("calm") <= 4, `calm ran at place ${order.indexOf("calm")}`);
  t.ok(
    turns.every((handled) => handled <= 8),
    "a round is bounded by actors times throughput",
  );
  t.equal(order.length, 21);
  t.end();
});

void t.test("runReady gives one turn to those ready now, not to what they cause", (t) => {
  const { system } = actorWorld({ throughput: 1 });
  const recorder = new Recorder();
  const ref = system.spawn(props("loop", () => recorder));
  recorder.onMessage = (): void => void ref.tell("again");
  system.runReady();
  ref.tell("first");
  for (let i = 0; i < 10; i++) t.equal(system.runReady(), 1);
  t.end();
});

void t.test("without a host that runs it, the system schedules itself, once per batch", async (t) => {
  const scheduled: (() => void)[] = [];
  const { system } = actorWorld({ schedule: (run) => void scheduled.push(run) });
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  ref.tell("a");
  ref.tell("b");
  t.equal(scheduled.length, 1);
  scheduled.shift()!();
  t.same(recorder.seen, ["preStart", "a", "b"]);
  t.equal(scheduled.length, 0);
  ref.tell("c");
  t.equal(scheduled.length, 1);
});

void t.test("timers deliver after their delay, in order, and not once cancelled", (t) => {
  const { system, clock, settle } = actorWorld();
  const recorder = new Recorder();
  system.spawn(props("recorder", () => recorder));
  settle();
  const context = recorder.context!;
  context.setTimer(20, "20");
  context.setTimer(10, "10");
  context.setTimer(15, "cancelled").cancel();
  clock.advance(10);
  settle();
  t.same(recorder.seen, ["preStart", "10"]);
  clock.advance(10);
  settle();
  t.same(recorder.seen, ["preStart", "10", "20"]);
  t.equal(clock.timerCount, 0);
  t.end();
});

void t.test("a timer cancelled after it was due but before its message was handled is not received", (t) => {
  const { system, clock, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  settle();
  const timer = recorder.context!.setTimer(10, "too late");
  clock.advance(10);
  timer.cancel();
  ref.tell("after");
  settle();
  t.same(recorder.seen, ["preStart", "after"]);
  t.end();
});

void t.test("timers reach an actor whose mailbox is full, and neither lane starves the other", (t) => {
  const { system, clock } = actorWorld({ throughput: 1 });
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder, { mailboxCapacity: 3 }));
  system.runReady();
  for (const name of ["t1", "t2", "t3"]) recorder.context!.setTimer(1, name);
  for (const name of ["m1", "m2", "m3"]) ref.tell(name);
  clock.advance(1);
  for (let i = 0; i < 6; i++) system.runReady();
  t.same(recorder.seen, ["preStart", "t1", "m1", "t2", "m2", "t3", "m3"]);
  t.end();
});

void t.test("timers are gone when the actor has stopped", (t) => {
  const { system, clock, settle } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  settle();
  const context = recorder.context!;
  context.setTimer(10, "never");
  const due = context.setTimer(0, "due but not handled");
  clock.advance(0);
  system.stop(ref);
  settle();
  t.equal(clock.timerCount, 0);
  context.setTimer(10, "set by a callback that outlived the actor").cancel();
  t.equal(clock.timerCount, 0);
  due.cancel();
  clock.advance(100);
  settle();
  t.same(recorder.seen, ["preStart", "postStop:stopped"]);
  t.end();
});

void t.test("an actor that leaks timers fails, rather than filling the memory", (t) => {
  const { system, settle, clock } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("leak", () => recorder, { supervise: () => "stop" }));
  recorder.onMessage = (_message, context): void => {
    for (let i = 0; i < 2_000; i++) context.setTimer(1_000, "leaked");
  };
  ref.tell("go");
  settle();
  t.match(recorder.seen.at(-1), "postStop:failed");
  t.equal(clock.timerCount, 0);
  t.end();
});

void t.test("a piped promise comes back as a message, kept or broken", async (t) => {
  const { system, settle } = actorWorld();
  const recorder = new Recorder();
  system.spawn(props("recorder", () => recorder, { mailboxCapacity: 1 }));
  settle();
  const context = recorder.context!;
  context.self.tell("fills the mailbox");
  context.pipe(Promise.resolve(7), (value) => `value ${value}`, String);
  context.pipe(Promise.reject(new Error("no luck")), String, (error) => `failed: ${String(error)}`);
  await Promise.resolve();
  await Promise.resolve();
  settle();
  t.same(recorder.seen, ["preStart", "value 7", "fills the mailbox", "failed: Error: no luck"]);
});

void t.test("a promise that settles after the actor has stopped is dropped quietly", async (t) => {
  const { system, settle, deadLetters } = actorWorld();
  const recorder = new Recorder();
  const ref = system.spawn(props("recorder", () => recorder));
  settle();
  const context = recorder.context!;
  let breakIt: (error: Error) => void = () => {};
  context.pipe(
    new Promise((_resolve, reject) => {
      breakIt = reject;
    }),
    String,
    String,
  );
  system.stop(ref);
  settle();
  breakIt(new Error("late"));
  context.pipe(Promise.reject(new Error("piped by a callback that outlived the actor")), String, String);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  settle();
  t.same(recorder.seen, ["preStart", "postStop:stopped"]);
  t.same(deadLetters, []);
});

void t.test("an ask is answered with the reply", async (t) => {
  const { system, settle, clock } = actorWorld();
  const doubler = system.spawn(
    props(
      "doubler",
      () =>
        new (class extends Actor<{ value: number; reply: (value: number) => void }> {
          override receive(message: { value: number; reply: (value: number) => void }): void {
            message.reply(message.value * 2);
            message.reply(-1);
          }
        })(),
    ),
  );
  const answer = system.ask<{ value: number; reply: (value: number) => void }, number>(
    doubler,
    (reply) => ({ value: 21, reply }),
    1_000,
  );
  settle();
  t.equal(await answer, 42);
  t.equal(clock.timerCount, 0);
});

void t.test("an ask fails with a code: late, stopped before or meanwhile, mailbox full", async (t) => {
  const { system, settle, clock } = actorWorld();
  type Reply = (value: string) => void;
  const replies: Reply[] = [];
  const mute = system.spawn<Reply>(
    props(
      "mute",
      () =>
        new (class extends Actor<Reply> {
          override receive(reply: Reply): void {
            replies.push(reply);
          }
        })(),
      { mailboxCapacity: 1 },
    ),
  );
  const ask = (): Promise<string> => system.ask<Reply, string>(mute, (reply) => reply, 500);

  const late = ask();
  const full = ask();
  await t.rejects(full, { code: "ACTOR_MAILBOX_FULL" });
  settle();
  clock.advance(499);
  replies[0]!.call(null, "in time");
  t.equal(await late, "in time");

  const tooLate = ask();
  settle();
  clock.advance(500);
  await t.rejects(tooLate, { code: "ACTOR_ASK_TIMEOUT" });
  replies[1]!.call(null, "ignored");

  const meanwhile = ask();
  settle();
  system.stop(mute);
  settle();
  await t.rejects(meanwhile, { code: "ACTOR_STOPPED" });
  await t.rejects(ask(), { code: "ACTOR_STOPPED" });
  t.equal(clock.timerCount, 0);
});

void t.test("shutdown stops every actor, children first, and nothing can be spawned after", async (t) => {
  const { system, settle } = actorWorld();
  const order: string[] = [];
  class Node extends Actor<string> {
    readonly #name: string;
    readonly #depth: number;
    constructor(name: string, depth: number) {
      super();
      this.#name = name;
      this.#depth = depth;
    }
    override preStart(context: ActorContext<string>): void {
      if (this.#depth === 0) return;
      for (const name of ["x", "y"]) context.spawn(props(name, () => new Node(name, this.#depth - 1)));
    }
    override receive(): void {}
    override postStop(context: ActorContext<string>, reason: StopReason): void {
      t.equal(reason.kind, "shutdown");
      order.push(context.self.path);
      t.not(this.#name, "");
    }
  }
  system.spawn(props("a", () => new Node("a", 2)));
  system.spawn(props("b", () => new Node("b", 0)));
  settle();
  t.equal(system.stats().actorCount, 8);
  const done = system.shutdown();
  t.throws(() => system.spawn(props("c", () => new Node("c", 0))), { code: "ACTOR_STOPPED" });
  settle();
  await done;
  t.equal(system.stats().actorCount, 0);
  t.equal(order.length, 8);
  for (const path of order) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (parent !== "") t.ok(order.indexOf(path) < order.indexOf(parent), `${path} before ${parent}`);
  }
  await system.shutdown();
});

void t.test("two siblings cannot have one name; a successor can", (t) => {
  const { system, settle } = actorWorld();
  const first = system.spawn(props("same", () => new Recorder()));
  t.throws(() => system.spawn(props("same", () => new Recorder())), /already/);
  system.stop(first);
  settle();
  const second = system.spawn(props("same", () => new Recorder()));
  t.equal(second.path, first.path);
  t.equal(second.tell("hello"), "accepted");
  t.equal(first.tell("hello"), "stopped");
  t.end();
});
