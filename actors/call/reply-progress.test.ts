import t from "tap";
import { seededRandom } from "#runtime/actor";
import { PROGRESS_WORDS_MAX, ReplyProgress, restOfReply } from "./reply-progress.js";

const REPLY = "We are open from eight until five, and closed on Sundays. Shall I book you in?";

void t.test("there is something to tell at each end of a clause, once", async (t) => {
  const progress = new ReplyProgress();
  const words = REPLY.split(" ");
  const told = words.map((_, index) => words.slice(0, index + 1).join(" ")).filter((h) => progress.isDue(h));
  t.same(told, [
    "We are open from eight until five,",
    "We are open from eight until five, and closed on Sundays.",
    REPLY,
  ]);
});

void t.test("marks that come back together are told of together", async (t) => {
  const progress = new ReplyProgress();
  t.ok(progress.isDue("We are open from eight until five, and closed"));
  t.notOk(progress.isDue("We are open from eight until five, and closed on"));
});

void t.test("a clause without an end is told of now and then", async (t) => {
  const progress = new ReplyProgress();
  const words = Array.from({ length: 60 }, (_, index) => `word${index}`);
  const told = words.filter((_, index) => progress.isDue(words.slice(0, index + 1).join(" ")));
  t.equal(told.length, 60 / PROGRESS_WORDS_MAX);
});

void t.test("the rest begins with the clause that was not heard to its end", async (t) => {
  t.equal(restOfReply(REPLY, ""), REPLY);
  t.equal(restOfReply(REPLY, "We are open from"), REPLY);
  t.equal(
    restOfReply(REPLY, "We are open from eight until five,"),
    "and closed on Sundays. Shall I book you in?",
  );
  t.equal(
    restOfReply(REPLY, "We are open from eight until five, and closed on"),
    "and closed on Sundays. Shall I book you in?",
  );
  t.equal(restOfReply(REPLY, REPLY), "");
  t.equal(
    restOfReply("  Line\nbreaks and  gaps. They stay gaps. ", "Line breaks and gaps."),
    "They stay gaps.",
  );
});

void t.test("heard and rest make the whole reply, and no more than one clause is said twice", async (t) => {
  const random = seededRandom(7);
  for (let round = 0; round < 500; round += 1) {
    const words = Array.from({ length: 1 + Math.floor(random.next() * 40) }, (_, index) =>
      random.next() < 0.25 ? `w${index}${random.next() < 0.5 ? "," : "."}` : `w${index}`,
    );
    const heardCount = Math.floor(random.next() * (words.length + 1));
    const heard = words.slice(0, heardCount);
    const rest = restOfReply(words.join(" "), heard.join(" ")).split(" ").filter(Boolean);
    const twice = heardCount + rest.length - words.length;
    t.ok(twice >= 0 && twice <= PROGRESS_WORDS_MAX);
    t.same([...words.slice(0, words.length - rest.length), ...rest], words);
    t.notOk(
      heard.slice(heardCount - twice, -1).some((word) => /[,.]$/.test(word)),
      "one clause at most",
    );
  }
});
