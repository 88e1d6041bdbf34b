/** What is published, and the end. */
import { request } from "../directory.fixture.js";
import type { Behaves } from "./subject.fixture.js";

export function fanOutComplies(test: Behaves): void {
  test("what is published reaches the topic's subscribers, of every control plane", async (t, {
    directory,
    other,
  }) => {
    const heard: string[] = [];
    const waiting = new Map<string, () => void>();
    const listen = (who: string) => (message: string) => {
      heard.push(`${who} ${message}`);
      waiting.get(`${who} ${message}`)?.();
    };
    const hears = (line: string): Promise<void> => new Promise((done) => waiting.set(line, done));
    const stop = await directory.subscribe("node:a", listen("one"));
    const stopOther = await other.subscribe("node:a", listen("two"));
    await directory.subscribe("node:b", listen("three"));
    const both = [hears("one hang up c1"), hears("two hang up c1")];
    await directory.publish("node:a", "hang up c1");
    await Promise.all(both);
    stop();
    const last = [hears("two last"), hears("three to b")];
    await other.publish("node:a", "last");
    await other.publish("node:b", "to b");
    await Promise.all(last);
    t.same(heard.sort(), ["one hang up c1", "three to b", "two hang up c1", "two last"]);
    stopOther();
  });

  test("a closed directory says so", async (t, { directory }) => {
    await directory.ping();
    await directory.close();
    await t.rejects(directory.ping(), { code: "DIRECTORY_UNAVAILABLE" });
    await t.rejects(directory.reserve(request("c1")), { code: "DIRECTORY_UNAVAILABLE" });
    await t.rejects(
      directory.subscribe("x", () => {}),
      { code: "DIRECTORY_UNAVAILABLE" },
    );
  });
}
