import t from "tap";
import { FrameKind } from "#actors/speech";
import { KnownWords, WORDS_WITHOUT_VOICE, whoseWords } from "./overlap.js";

const MS_PER_WORD = 300;
const OURS = "We have Monday at nine, Tuesday at ten or Friday at noon.".split(" ");

/** One letter per 100 ms of audio: `=` speech, `~` echo, anything else quiet. */
function voiceOf(picture: string) {
  return {
    msOf(kind: FrameKind, fromMs: number, toMs: number): number {
      const sign = kind === FrameKind.speech ? "=" : "~";
      let ms = 0;
      for (const [index, found] of picture.split("").entries()) {
        if (found === sign)
          ms += Math.max(0, Math.min(toMs, (index + 1) * 100) - Math.max(fromMs, index * 100));
      }
      return ms;
    },
  };
}

/** The words one after the other from the beginning of the picture. */
function whose(heard: string, picture: string) {
  const words = heard.split(" ").map((word, index) => ({
    word,
    startMs: index * MS_PER_WORD,
    endMs: (index + 1) * MS_PER_WORD,
  }));
  return whoseWords(words, OURS, voiceOf(picture));
}

void t.test("our words in our echo are ours, misheard and broken ones too", async (t) => {
  for (const heard of ["tuesday at ten", "tuezday", "munday az nine", "at tgnk or fri"]) {
    t.same(
      whose(heard, "~~~~~~~~~~~~"),
      { caller: [], echoCount: heard.split(" ").length, isEcho: true },
      heard,
    );
  }
});

void t.test("a caller who says our words aloud says them himself", async (t) => {
  t.same(whose("tuesday at ten", "=========").caller, ["tuesday", "at", "ten"]);
  t.same(whose("tuesday", "==.").caller, ["tuesday"]);
});

void t.test("a cough over our echo does not make its words the caller's", async (t) => {
  t.same(whose("tuesday at ten", "~~~==~~~~").caller, []);
  t.equal(whose("tuesday at ten", "~~~==~~~~").isEcho, true);
});

void t.test("words that cannot be ours are the caller's where he was heard, if only in part", async (t) => {
  t.same(whose("stop", "=~~").caller, ["stop"]);
  t.same(whose("stop please", "~~~~~~===").caller, ["please"], "the recogniser's times are a little off");
});

void t.test("our echo before the caller's words is told from them", async (t) => {
  const { caller, echoCount, isEcho } = whose("tuesday at stop please", "~~~~~~=======");
  t.same({ caller, echoCount, isEcho }, { caller: ["stop", "please"], echoCount: 2, isEcho: false });
});

void t.test("where nobody was heard it takes three words in a row that cannot be ours", async (t) => {
  t.same(whose("hold please", "~~~~~~~~~").caller, []);
  t.same(whose("hold please", "~~~~~~~~~").isEcho, true, "an echo that was misheard");
  t.same(whose("hold tuesday please wait", "~~~~~~~~~~~~").caller, [], "not in a row");
  t.equal(whose("tuesday hold on please", "~~~~~~~~~~~~").caller.length, WORDS_WITHOUT_VOICE);
});

void t.test("a caller so faint that even echo is louder is not taken for it", async (t) => {
  t.same(whose("yes", "..."), { caller: [], echoCount: 1, isEcho: false });
});

void t.test(
  "what is remembered of our words is forgotten when there are others, heard or spoken",
  async (t) => {
    const known = new KnownWords();
    const said = (text: string) => text.split(" ").map((word) => ({ word, startMs: 0, endMs: 0 }));
    const first = known.ours(said("tuesday stop"), OURS);
    t.same(first, [true, false]);
    t.equal(known.ours(said("tuesday stop"), OURS), first, "asked again");
    t.same(known.ours(said("tuesday at"), OURS), [true, true]);
    t.same(known.ours(said("tuesday"), OURS), [true]);
    t.same(known.ours(said("tuesday"), ["Shall", "I", "stop?"]), [false]);
    t.same(known.ours(said("stop"), ["Shall", "I", "stop?"]), [true]);
  },
);
