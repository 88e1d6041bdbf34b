import t from "tap";
import { REQUEST } from "../providers/resilience/chain.fixture.js";
import { continueAfter } from "./continuation.js";

const SAID = "We are open until five, and on Saturdays";

/** What is left of an answer that comes word by word, and letter by letter: the same. */
function goesOn(said: string, answer: string): string {
  const told = [answer.split(/(?<=\s)/), answer.split("")].map((pieces) => {
    const { seam } = continueAfter(REQUEST, said);
    return pieces.map((piece) => seam.push(piece)).join("") + seam.finish();
  });
  return told[0] === told[1] ? told[0]! : `different: ${told.join(" | ")}`;
}

void t.test("words that were said are not said again, however the next model begins", async (t) => {
  t.equal(goesOn(SAID, "until noon."), "until noon.");
  t.equal(goesOn(SAID, "and on Saturdays until noon."), "until noon.", "as it was asked to");
  t.equal(goesOn(SAID, "on Saturdays until noon."), "until noon.");
  t.equal(goesOn(SAID, "We are open until five, and on Saturdays, until noon."), "until noon.");
  t.equal(goesOn(SAID, SAID), "", "nothing new");
  t.equal(goesOn("Sure,", "Sure, at nine."), "at nine.");
});

void t.test("what only looks like a repetition is kept", async (t) => {
  t.equal(goesOn(SAID, "Saturdays are busy."), "Saturdays are busy.");
  t.equal(goesOn(SAID, "We are closed on Sundays."), "We are closed on Sundays.");
  t.equal(goesOn(SAID, "we"), "we");
  t.equal(goesOn("No,", "not at all."), "not at all.");
});

void t.test("words that are said again and meant are not lost", async (t) => {
  const number = "Call five five five,";
  t.equal(goesOn(number, "Call five five five, five five five, one two."), "five five five, one two.");
  t.equal(
    goesOn(number, "five five five, one two."),
    "five five five, one two.",
    "though it did not begin as told",
  );
  t.equal(goesOn("It is very,", "It is very, very good."), "very good.");
  t.equal(goesOn("No,", "No, no, not at all."), "no, not at all.");
  const twice = "You can come on Monday, or on Monday";
  t.equal(goesOn(twice, "or on Monday or on Monday week."), "or on Monday week.");
});

void t.test(
  "the next model is told to begin where what was said ends, at a place that is there once",
  async (t) => {
    const anchorOf = (said: string): string | undefined => {
      const { request } = continueAfter(REQUEST, said);
      return /exactly: "([^"]*)"/.exec(request.messages.at(-1)!.content ?? "")?.[1];
    };
    t.equal(anchorOf(SAID), "and on Saturdays");
    t.equal(anchorOf("Sure,"), "Sure,");
    t.equal(anchorOf("Call five five five,"), "Call five five five,");
    t.equal(anchorOf("It is five six, and five six, and five six,"), "and five six, and five six,");
  },
);

void t.test("the next model is shown what was said", async (t) => {
  const { request } = continueAfter({ ...REQUEST, messages: [{ role: "user", content: "When?" }] }, SAID);
  t.same(
    request.messages.map(({ role }) => role),
    ["user", "assistant", "system"],
  );
  t.equal(request.messages[1]!.content, SAID);
});
