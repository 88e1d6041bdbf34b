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

void t.test("the next model is shown what was said", async (t) => {
  const { request } = continueAfter({ ...REQUEST, messages: [{ role: "user", content: "When?" }] }, SAID);
  t.same(
    request.messages.map(({ role }) => role),
    ["user", "assistant", "system"],
  );
  t.equal(request.messages[1]!.content, SAID);
});
