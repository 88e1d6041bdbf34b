import t from "tap";
import { silentLogger } from "#runtime/telemetry";
import { Listeners, Topics } from "./listeners.js";

void t.test("one function that is added twice hears twice, and is taken away once at a time", async (t) => {
  const listeners = new Listeners<string>(silentLogger);
  const heard: string[] = [];
  const listener = (message: string): void => void heard.push(message);
  const removals = [listeners.add(listener), listeners.add(listener)];
  listeners.tell("a");
  t.same(heard, ["a", "a"]);
  removals[0]!();
  removals[0]!();
  listeners.tell("b");
  t.same(heard, ["a", "a", "b"]);
  t.equal(listeners.size, 1);
});

void t.test("what is told later is heard by who listened then and still does", async (t) => {
  const listeners = new Listeners<string>(silentLogger);
  const heard: string[] = [];
  listeners.add((message) => heard.push(`first ${message}`));
  const remove = listeners.add((message) => heard.push(`gone ${message}`));
  const tell = listeners.later();
  remove();
  listeners.add((message) => heard.push(`new ${message}`));
  tell("a");
  t.same(heard, ["first a"]);
});

void t.test("a topic is deserted once: when the last of its listeners is taken away", async (t) => {
  const topics = new Topics(silentLogger);
  let deserted = 0;
  const onDeserted = (): void => void (deserted += 1);
  const [first, second] = [topics.add("calls", () => {}), topics.add("calls", () => {})];
  first(onDeserted);
  t.equal(deserted, 0, "there is another");
  second(onDeserted);
  t.equal(deserted, 1);
  first(onDeserted);
  second(onDeserted);
  t.equal(deserted, 1, "they are gone already");
  t.equal(topics.of("calls"), undefined);
});

void t.test("one that is taken away late does not desert those who came to the topic since", async (t) => {
  const topics = new Topics(silentLogger);
  const heard: string[] = [];
  const first = topics.add("calls", () => {});
  first();
  topics.add("calls", (message) => heard.push(message));
  first(() => t.fail("somebody listens"));
  topics.of("calls")?.tell("a");
  t.same(heard, ["a"]);
});

void t.test("after a clear nobody hears, and who leaves then deserts nothing", async (t) => {
  const topics = new Topics(silentLogger);
  const leave = topics.add("calls", () => t.fail("it was cleared"));
  const told = topics.of("calls")!;
  topics.clear();
  told.tell("a");
  leave(() => t.fail("it was nobody's topic any more"));
  t.equal(topics.of("calls"), undefined);
});

/** A throw ended the process: it came out of a message of Redis's, or of a turn of the event loop. */
void t.test("a listener that throws is logged, and the others hear all the same", async (t) => {
  const logged: unknown[] = [];
  const log = { ...silentLogger, error: ({ err }: { err?: unknown }) => logged.push(err) };
  const listeners = new Listeners<string>(log);
  const heard: string[] = [];
  const wrong = new Error("a listener's bug");
  listeners.add(() => {
    throw wrong;
  });
  listeners.add((message) => heard.push(message));
  listeners.tell("now");
  listeners.later()("later");
  const topics = new Topics(log);
  topics.add("calls", () => {
    throw wrong;
  });
  topics.add("calls", (message) => heard.push(message));
  topics.of("calls")?.tell("of a topic");
  t.same(heard, ["now", "later", "of a topic"]);
  t.same(logged, [wrong, wrong, wrong]);
});
