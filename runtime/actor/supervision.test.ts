/** Failures: restart, stop, escalate, intensity; and death watch. */
import t from "tap";
import { actorWorld, props } from "./actor.fixture.js";
import { Actor, type ActorContext, type ActorProps, type ActorRef, type StopReason } from "./actor.js";

type Behaviour = (message: string, context: ActorContext<string>) => void;

/** Logs its life into a list shared by all its incarnations. */
class Fragile extends Actor<string> {
  readonly #log: string[];
  readonly #behaviour: Behaviour;
  constructor(log: string[], behaviour: Behaviour = () => {}) {
    super();
    this.#log = log;
    this.#behaviour = behaviour;
  }
  override preStart(): void {
    this.#log.push("preStart");
  }
  override receive(message: string, context: ActorContext<string>): void {
    this.#log.push(message);
    if (message.startsWith("fail")) throw new Error(message);
    this.#behaviour(message, context);
  }
  override preRestart(_context: ActorContext<string>, error: unknown): void {
    this.#log.push(`preRestart:${(error as Error).message}`);
  }
  override postStop(_context: ActorContext<string>, reason: StopReason): void {
    this.#log.push(`postStop:${reason.kind}`);
  }
}

function fragile(
  name: string,
  log: string[],
  rest: Partial<ActorProps<string>> = {},
  behaviour?: Behaviour,
): ActorProps<string> {
  return props(name, () => new Fragile(log, behaviour), rest);
}

void t.test("a failed actor is made anew, keeps its mailbox, and loses the message that failed it", (t) => {
  const { system, settle } = actorWorld();
  const log: string[] = [];
  const ref = system.spawn(fragile("fragile", log));
  for (const message of ["a", "fail", "b"]) ref.tell(message);
  settle();
  t.same(log, ["preStart", "a", "fail", "preRestart:fail", "preStart", "b"]);
  t.equal(system.stats().restarts, 1);
  t.end();
});

void t.test("more restarts than allowed within the window stop the actor", (t) => {
  const { system, settle, clock } = actorWorld();
  const log: string[] = [];
  const ref = system.spawn(fragile("fragile", log, { maxRestarts: 2, withinMs: 1_000 }));
  const failOnce = (): string => {
    const result = ref.tell("fail");
    settle();
    return result;
  };
  failOnce();
  clock.advance(600);
  failOnce();
  clock.advance(600);
  t.equal(failOnce(), "accepted", "the first restart has left the window");
  t.equal(system.stats().restarts, 3);
  t.equal(failOnce(), "accepted", "the third failure within the window");
  t.equal(log.at(-1), "postStop:failed");
  t.equal(failOnce(), "stopped");
  t.equal(system.stats().actorCount, 0);
  t.end();
});

void t.test("supervise decides by the error; when it fails itself, the actor stops", (t) => {
  const { system, settle } = actorWorld();
  const log: string[] = [];
  const picky = system.spawn(
    fragile("picky", log, {
      supervise: (error) => ((error as Error).message === "fail mildly" ? "restart" : "stop"),
    }),
  );
  picky.tell("fail mildly");
  picky.tell("fail badly");
  picky.tell("never handled");
  settle();
  t.same(log, [
    "preStart",
    "fail mildly",
    "preRestart:fail mildly",
    "preStart",
    "fail badly",
    "postStop:failed",
  ]);

  const log2: string[] = [];
  const broken = system.spawn(
    fragile("broken", log2, {
      supervise: () => {
        throw new Error("supervisor bug");
      },
    }),
  );
  broken.tell("fail");
  settle();
  t.equal(log2.at(-1), "postStop:failed");
  t.end();
});

void t.test("failing in create or preStart counts as a failure and is bounded like one", (t) => {
  const { system, settle } = actorWorld();
  let created = 0;
  const ref = system.spawn(
    props<string>(
      "stillborn",
      () => {
        created++;
        throw new Error("cannot be made");
      },
      { maxRestarts: 2 },
    ),
  );
  settle();
  t.equal(created, 3, "once, and two restarts");
  t.equal(ref.tell("hello"), "stopped");
  t.end();
});

void t.test("timers, pipes and children of the failed incarnation do not reach the next", async (t) => {
  const { system, settle, clock } = actorWorld();
  const log: string[] = [];
  const childLog: string[] = [];
  let oldContext: ActorContext<string> | null = null;
  let keep: (value: string) => void = () => {};
  const ref = system.spawn(
    fragile("parent", log, {}, (message, context) => {
      if (message !== "prepare") return;
      oldContext = context;
      context.setTimer(10, "stale timer");
      context.pipe(
        new Promise<string>((resolve) => {
          keep = resolve;
        }),
        (value) => value,
        String,
      );
      context.spawn(fragile("child", childLog));
    }),
  );
  ref.tell("prepare");
  settle();
  ref.tell("fail");
  settle();
  t.same(childLog, ["preStart", "postStop:stopped"]);
  t.equal(clock.timerCount, 0);
  keep("stale result");
  await Promise.resolve();
  clock.advance(100);
  settle();
  t.throws(() => oldContext!.spawn(fragile("late child", [])), { code: "ACTOR_STOPPED" });
  oldContext!.watch(ref, () => "watched by a context that is over");
  ref.tell("b");
  settle();
  t.same(log, ["preStart", "prepare", "fail", "preRestart:fail", "preStart", "b"]);
  t.end();
});

void t.test("the next incarnation starts only when the children of the last are gone", (t) => {
  const { system, settle } = actorWorld();
  const order: string[] = [];
  class Parent extends Actor<string> {
    override preStart(context: ActorContext<string>): void {
      order.push("parent starts");
      // The same name each time: it must be free again.
      context.spawn(
        props(
          "child",
          () =>
            new (class extends Actor<string> {
              override receive(): void {}
              override postStop(): void {
                order.push("child stopped");
              }
            })(),
        ),
      );
    }
    override receive(): void {
      throw new Error("fail");
    }
  }
  const ref = system.spawn(props("parent", () => new Parent()));
  settle();
  ref.tell("fail");
  settle();
  t.same(order, ["parent starts", "child stopped", "parent starts"]);
  t.equal(system.stats().actorCount, 2);
  t.end();
});

void t.test("escalating stops the child and fails the parent with the same error", (t) => {
  const { system, settle, escalations } = actorWorld();
  const parentLog: string[] = [];
  const childLog: string[] = [];
  let child: ActorRef<string> | null = null;
  const seen: unknown[] = [];
  const parent = system.spawn(
    fragile(
      "parent",
      parentLog,
      {
        supervise: (error) => {
          seen.push(error);
          return "restart";
        },
      },
      (message, context) => {
        if (message === "spawn") {
          child = context.spawn(fragile("child", childLog, { supervise: () => "escalate" }));
        }
      },
    ),
  );
  parent.tell("spawn");
  settle();
  child!.tell("fail upwards");
  settle();
  t.same(childLog, ["preStart", "fail upwards", "postStop:failed"]);
  t.same(parentLog, ["preStart", "spawn", "preRestart:fail upwards", "preStart"]);
  t.equal((seen[0] as Error).message, "fail upwards");
  t.same(escalations, []);
  t.end();
});

void t.test("escalating from the top is reported, and the actor stops", (t) => {
  const { system, settle, escalations } = actorWorld();
  const log: string[] = [];
  const ref = system.spawn(fragile("top", log, { supervise: () => "escalate" }));
  ref.tell("fail");
  settle();
  t.equal(escalations.length, 1);
  t.equal(escalations[0]!.path, "/top");
  t.equal(log.at(-1), "postStop:failed");
  t.end();
});

void t.test("hooks that throw are logged and change nothing", (t) => {
  const { system, settle } = actorWorld();
  class BadHooks extends Actor<string> {
    override receive(message: string): void {
      if (message === "fail") throw new Error("fail");
    }
    override preRestart(): void {
      throw new Error("in preRestart");
    }
    override postStop(): void {
      throw new Error("in postStop");
    }
  }
  const ref = system.spawn(props("bad", () => new BadHooks()));
  ref.tell("fail");
  settle();
  t.equal(ref.tell("still here"), "accepted");
  system.stop(ref);
  settle();
  t.equal(system.stats().actorCount, 0);
  t.end();
});

class Watcher extends Actor<string> {
  readonly seen: string[] = [];
  context: ActorContext<string> | null = null;
  override preStart(context: ActorContext<string>): void {
    this.context = context;
  }
  override receive(message: string): void {
    this.seen.push(message);
  }
}

void t.test("a watcher hears of each end once, with the reason", (t) => {
  const { system, settle } = actorWorld();
  const watcher = new Watcher();
  system.spawn(props("watcher", () => watcher));
  const targets = ["asked", "failing"].map((name) =>
    system.spawn(fragile(name, [], { supervise: () => "stop" })),
  );
  settle();
  for (const target of targets) {
    watcher.context!.watch(target, (reason) => `${target.path} ${reason.kind}`);
    watcher.context!.watch(target, (reason) => `${target.path} ${reason.kind}`);
  }
  system.stop(targets[0]!);
  targets[1]!.tell("fail");
  settle();
  t.same(watcher.seen.sort(), ["/asked stopped", "/failing failed"]);
  t.end();
});

void t.test("the end of a watched actor overtakes waiting messages", (t) => {
  const { system } = actorWorld({ throughput: 1 });
  const watcher = new Watcher();
  const watcherRef = system.spawn(props("watcher", () => watcher));
  const target = system.spawn(fragile("target", []));
  system.runReady();
  watcher.context!.watch(target, () => "target ended");
  for (let i = 0; i < 10; i++) watcherRef.tell("waiting");
  system.stop(target);
  for (let i = 0; i < 10; i++) system.runReady();
  const place = watcher.seen.indexOf("target ended");
  t.ok(place >= 0 && place <= 3, `at place ${place} of ${watcher.seen.length}`);
  t.end();
});

void t.test("watching an actor that is gone already is told at once; unwatching is silence", (t) => {
  const { system, settle } = actorWorld();
  const watcher = new Watcher();
  system.spawn(props("watcher", () => watcher));
  const gone = system.spawn(fragile("gone", []));
  const dull = system.spawn(fragile("dull", []));
  system.stop(gone);
  settle();
  watcher.context!.watch(gone, () => "gone");
  watcher.context!.watch(dull, () => "dull");
  watcher.context!.unwatch(dull);
  system.stop(dull);
  settle();
  t.same(watcher.seen, ["gone"]);
  t.end();
});

void t.test("unwatching between the end and its notice is silence too", (t) => {
  const { system, settle } = actorWorld();
  const watcher = new Watcher();
  system.spawn(props("watcher", () => watcher));
  const gone = system.spawn(fragile("gone", []));
  settle();
  watcher.context!.watch(gone, () => "gone");
  watcher.context!.stop(gone);
  // The target's turn comes, the watcher's notice is queued behind it.
  system.runReady();
  watcher.context!.unwatch(gone);
  settle();
  t.same(watcher.seen, []);
  t.end();
});

void t.test("on the news of an end, a successor can take the name at once", (t) => {
  const { system, settle } = actorWorld();
  const generations: string[] = [];
  class Keeper extends Actor<string> {
    override preStart(context: ActorContext<string>): void {
      this.#spawn(context);
    }
    override receive(message: string, context: ActorContext<string>): void {
      generations.push(message);
      this.#spawn(context);
    }
    #spawn(context: ActorContext<string>): void {
      const child = context.spawn(fragile("child", [], { supervise: () => "stop" }));
      context.watch(child, (reason) => `ended: ${reason.kind}`);
      if (generations.length < 2) child.tell("fail");
    }
  }
  system.spawn(props("keeper", () => new Keeper()));
  settle();
  t.same(generations, ["ended: failed", "ended: failed"]);
  t.equal(system.stats().actorCount, 2);
  t.end();
});

void t.test("a restart keeps those who watch, and ends what the failed incarnation watched", (t) => {
  const { system, settle } = actorWorld();
  const watcher = new Watcher();
  system.spawn(props("watcher", () => watcher));
  const log: string[] = [];
  const target = system.spawn(fragile("target", []));
  const ref = system.spawn(
    fragile("restarts", log, {}, (message, context) => {
      if (message === "watch") context.watch(target, () => "seen by the old incarnation");
    }),
  );
  settle();
  watcher.context!.watch(ref, (reason) => `ended: ${reason.kind}`);
  ref.tell("watch");
  ref.tell("fail");
  settle();
  system.stop(target);
  settle();
  t.notOk(log.includes("seen by the old incarnation"));
  t.same(watcher.seen, [], "a restart is not an end");
  system.stop(ref);
  settle();
  t.same(watcher.seen, ["ended: stopped"]);
  t.end();
});
