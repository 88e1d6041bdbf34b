/** A call whose actor crashes, at the wire: the shard lives, and the call goes on in a fresh actor of the same state. */
import t from "tap";
import { DEATHS } from "./deaths.fixture.js";
import { factsOf, isProgressTo, plainWords, withoutAsides, written } from "./node.fixture.js";
import {
  LONG_GREETING_TENANT,
  closed,
  diesInMidReply,
  greeted,
  heardMore,
  numberOf,
  startDyingNode,
  wordsSince,
} from "./recovery.fixture.js";

const server = await startDyingNode(t, { LUMENTRA_SPARE_SHARD: "false" });
const { call, emulators } = server;

// What crashes is one call: the others are not in its way.
t.jobs = 3;

void t.test(
  "a call that crashes in mid-reply: every word is heard once, and it goes on",
  { buffered: true },
  (t) => diesInMidReply(t, server, 0, "crashes"),
);

void t.test("a crash in the greeting: it is heard to its end", { buffered: true }, async (t) => {
  const phone = await call({ to: numberOf(LONG_GREETING_TENANT) });
  await heardMore(phone, 0, 2);
  phone.dtmf(DEATHS.crashes);
  await phone.waitForReply(0, undefined, 1_200);
  const events = await closed(t, server, phone, ["actorCrashed"]);
  const greeting = factsOf(events, "agentTurn").flatMap(({ pii }) => plainWords(pii.heard));
  t.same(wordsSince(phone, 0), withoutAsides(greeting), "the greeting");
});

void t.test(
  "a crash while the model thinks: the question is answered once",
  { buffered: true },
  async (t) => {
    let open!: () => void;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    emulators.groq.script(/how many/i, { parts: [{ gate }, { text: "There are forty seats." }] });
    const phone = await call({ to: numberOf(6) });
    const since = await greeted(phone);
    await phone.say("How many seats are there?");
    await written(server, phone, isProgressTo("are there"));
    phone.dtmf(DEATHS.crashes);
    await written(server, phone, ({ kind }) => kind === "callResumed");
    open();
    await heardMore(phone, since, 4);
    await phone.waitForReply(0);
    const events = await closed(t, server, phone, ["actorCrashed"]);
    t.same(wordsSince(phone, since), plainWords("There are forty seats."));
    t.same(
      factsOf(events, "callerTurn").map(({ turn, pii }) => [turn, plainWords(pii.said).join(" ")]),
      [[1, "how many seats are there"]],
    );
  },
);
