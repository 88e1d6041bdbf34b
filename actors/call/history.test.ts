import t from "tap";
import { HISTORY_MAX_MESSAGES, History } from "./history.js";

const call = (id: string) => ({ id, name: "check_opening_hours", argumentsJson: "{}" });

void t.test("what the caller adds is joined to what was said before", async (t) => {
  const history = new History("system");
  history.addCaller("I need an appointment");
  history.addAgent(""); // a reply of which nothing was heard
  history.addCaller("on Friday");
  t.same(history.messages(""), [
    { role: "system", content: "system" },
    { role: "user", content: "I need an appointment on Friday" },
  ]);
  t.same(history.messages("please").at(-1), {
    role: "user",
    content: "I need an appointment on Friday please",
  });
  t.equal(history.messages("").length, 2, "asking changes nothing");
});

void t.test("trimming never separates tool results from their calls", async (t) => {
  for (let offset = 0; offset < 4; offset += 1) {
    const history = new History("system");
    for (let index = 0; index < offset; index += 1) history.addAgent(`filler ${index}`);
    for (let turn = 0; turn < 60; turn += 1) {
      history.addCaller(`question ${turn}`);
      history.addToolRound([
        { call: call(`${turn}a`), text: "open" },
        { call: call(`${turn}b`), text: "closed" },
      ]);
      history.addAgent(`answer ${turn}`);
      const messages = history.messages("").slice(1);
      t.ok(messages.length <= HISTORY_MAX_MESSAGES);
      const called = new Set(
        messages.flatMap((message) =>
          "toolCalls" in message ? (message.toolCalls ?? []).map(({ id }) => id) : [],
        ),
      );
      for (const message of messages) {
        if (message.role === "tool") t.ok(called.has(message.toolCallId), "a result without its call");
      }
    }
  }
});
