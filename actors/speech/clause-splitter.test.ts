import t from "tap";
import { type Random, seededRandom } from "#runtime/actor";
import { ClauseSplitter } from "./index.js";

/** The pieces when the text comes in deltas that end at the given places. */
function split(text: string, cuts: readonly number[] = []): string[] {
  const splitter = new ClauseSplitter();
  const ends = [...cuts, text.length];
  const pieces = ends.flatMap((end, index) => splitter.push(text.slice(ends[index - 1] ?? 0, end)));
  return [...pieces, ...splitter.finish()];
}

function randomCuts(text: string, random: Random): number[] {
  const cuts = Array.from({ length: Math.floor(random.next() * 30) }, () =>
    Math.floor(random.next() * text.length),
  );
  return cuts.sort((a, b) => a - b);
}

void t.test("the first piece is three words or the first clause, whichever is earlier", async (t) => {
  t.equal(split("We are open from nine to five.")[0], "We are open");
  t.equal(split("Sure, I can do that.")[0], "Sure,");
  t.equal(split("Yes! We do.")[0], "Yes!");
  t.equal(split("¿Para cuántas personas?")[0], "¿Para cuántas personas?");
});

void t.test("a piece goes out with the token that completes it, not with the next", async (t) => {
  const splitter = new ClauseSplitter();
  t.same(splitter.push("We"), []);
  t.same(splitter.push(" are"), []);
  t.same(splitter.push(" open "), ["We are open"]);
  const spaceInFront = new ClauseSplitter();
  for (const token of ["We", " are", " open"]) t.same(spaceInFront.push(token), []);
  t.same(spaceInFront.push(" from"), ["We are open"]);
});

void t.test("later pieces end at sentences and clauses, and bring their space in front", async (t) => {
  t.same(
    split(
      "Sure, I can book that for you on Tuesday at half past ten. It costs fifty dollars, and takes about an hour of your time. See you then!",
    ),
    [
      "Sure,",
      " I can book that for you on Tuesday at half past ten.",
      " It costs fifty dollars, and takes about an hour of your time.",
      " See you then!",
    ],
  );
});

void t.test("numbers, times, abbreviations and addresses stay whole", async (t) => {
  const text =
    "It is $3.50 at 10:30 with Dr. Smith, call 202 555 0101, e.g. at 9 a.m. or write to ada@example.com, see www.example.com/a,b;c?d=1.5 or 12 Main St. Boston, thanks.";
  const pieces = split(text);
  const kept = [
    "$3.50",
    "10:30",
    "Dr. Smith",
    "202 555 0101",
    "e.g. at",
    "ada@example.com",
    "www.example.com/a,b;c?d=1.5",
    "St. Boston",
  ];
  for (const whole of kept)
    t.ok(
      pieces.some((piece) => piece.includes(whole)),
      `${whole} in ${pieces.join("|")}`,
    );
  for (let seed = 1; seed <= 50; seed += 1) {
    t.same(split(text, randomCuts(text, seededRandom(seed))), pieces, `seed ${seed}`);
  }
});

void t.test("an answer of one word is a sentence, even one that looks like an abbreviation", async (t) => {
  t.equal(split("No. We are closed on Sundays.")[0], "No.");
});

void t.test("markdown, lists, links and emoji are not read out", async (t) => {
  const said = (text: string): string => split(text).join("");
  t.equal(said("**Cleaning** costs `50` _dollars_ 😀👍🏽"), "Cleaning costs 50 dollars");
  t.equal(said("We have:\n\n- Cleaning\n- Whitening\n* Braces\n"), "We have: Cleaning. Whitening. Braces");
  t.equal(said("1. First\n2. Second\n\n3) Third"), "First. Second. Third");
  t.equal(said("# Opening hours\nNine to five"), "Opening hours. Nine to five");
  t.equal(said("See [our page](https://example.com/a_b?c) today"), "See our page today");
  t.equal(said("One\ntwo\n\n---\n\nthree"), "One two. three");
  t.equal(said("| a | b |"), "a b");
  t.equal(said("> quoted"), "quoted");
});

void t.test("what only looks like markdown is read", async (t) => {
  const said = (text: string): string => split(text).join("");
  t.equal(said("-5 degrees"), "-5 degrees");
  t.equal(said("10 minutes"), "10 minutes");
  t.equal(said("7. Anything else?"), "7. Anything else?");
  t.equal(said("#1 in town"), "#1 in town");
  t.equal(said("write to john_doe@example.com"), "write to john_doe@example.com");
  t.equal(said("12"), "12");
  t.equal(said("[sic] (yes)"), "sic (yes)");
});

void t.test("nothing but white space and marks gives no piece", async (t) => {
  for (const text of ["", "   ", "\n\n", "**", "😀", "---", "- "])
    t.same(split(text), [], JSON.stringify(text));
});

const FRAGMENTS = [
  ..."Sure, I can book that. Dr. Smith $3.50 10:30 e.g. no? Yes! 555 0101 St. a.m. «oui» ¿sí? J. 3, 7. … — well; ada@x.com".split(
    " ",
  ),
  "**bold**",
  "_it_",
  "a_b",
  "\n",
  "\n\n",
  "- ",
  "1. ",
  "# ",
  "[x](http://y/z)",
  "]",
  "[",
  "😀",
  "👨‍👩‍👧",
  "~~",
  "`",
  " ",
  "  ",
  "\t",
  "ñandú",
  "été",
];

void t.test("the pieces are the same however the stream is cut, and nothing is lost or added", async (t) => {
  let failure: string | null = null;
  for (let seed = 1; seed <= 3_000 && failure === null; seed += 1) failure = checkAnyText(seed);
  t.equal(failure, null);
});

function checkAnyText(seed: number): string | null {
  const random = seededRandom(seed);
  const count = 1 + Math.floor(random.next() * 40);
  const glue = random.next() < 0.8 ? " " : "";
  const fragments = Array.from(
    { length: count },
    () => FRAGMENTS[Math.floor(random.next() * FRAGMENTS.length)],
  );
  const text = fragments.join(glue);
  const pieces = split(text);
  const said = pieces.join("");
  const what = `seed ${seed}: ${JSON.stringify(text)} read as ${JSON.stringify(pieces)}`;
  if (split(text, randomCuts(text, random)).join("\n") !== pieces.join("\n"))
    return `differs by cut, ${what}`;
  if (/^\s|\s$|\s\s/.test(said)) return `stray space, ${what}`;
  return letters(said) === letters(text) ? null : `letters differ, ${what}`;
}

function letters(text: string): string {
  return text.replaceAll("(http://y/z)", "").replace(/[^\p{L}]/gu, "");
}

void t.test("plain text comes out as it is, with single spaces, in pieces of bounded length", async (t) => {
  let failure: string | null = null;
  for (let seed = 1; seed <= 500 && failure === null; seed += 1) failure = checkPlainText(seed);
  t.equal(failure, null);
});

const PLAIN_WORDS =
  "well we can see you on Tuesday, at ten; or, if you like, later. Would that suit you? Yes! Fine: done".split(
    " ",
  );

function checkPlainText(seed: number): string | null {
  const random = seededRandom(seed);
  const count = 1 + Math.floor(random.next() * 80);
  const words = Array.from(
    { length: count },
    () => PLAIN_WORDS[Math.floor(random.next() * PLAIN_WORDS.length)],
  );
  const text = words.join(random.next() < 0.5 ? " " : "  ");
  const pieces = split(text, randomCuts(text, random));
  if (pieces.join("") !== words.join(" ")) return `seed ${seed}: ${pieces.join("|")}`;
  if (pieces.slice(1).some((piece) => !piece.startsWith(" "))) return `seed ${seed}: no space in front`;
  // C4: a piece ends at the first word past its bound.
  return pieces.some((piece) => piece.length > 210) ? `seed ${seed}: a piece too long` : null;
}

void t.test("a word without end is cut, so that what is held stays bounded", async (t) => {
  const pieces = split("x".repeat(1_000));
  t.equal(pieces.join(""), "x".repeat(1_000));
  t.ok(pieces.every((piece) => piece.length <= 256));
});

void t.test("a surrogate pair split between deltas stays whole", async (t) => {
  const splitter = new ClauseSplitter();
  const letter = "𝒜";
  const pieces = [
    ...splitter.push(`a ${letter[0]}`),
    ...splitter.push(`${letter[1]} b`),
    ...splitter.finish(),
  ];
  t.equal(pieces.join(""), `a ${letter} b`);
});
