import t from "tap";
import { FrameKind } from "#actors/speech";
import { ECHO_TEXT_AFTER_MS, EchoWords } from "./echo-words.js";
import { Listener } from "./listener.js";

const MS_PER_WORD = 300;
const OURS = "we have Monday at nine or Friday at noon".split(" ");

/** We fell silent at 3 s; until 3.6 s what comes in is our echo, from then on the caller. */
const SILENT_MS = 3_000;
const CALLER_MS = 3_600;

function hearing(words: string, fromMs: number, callerMs = CALLER_MS) {
  const listener = new Listener();
  const vad = {
    positionMs: SILENT_MS,
    msOf: (kind: FrameKind, startMs: number, endMs: number) =>
      kind === FrameKind.speech
        ? Math.max(0, endMs - Math.max(startMs, callerMs))
        : Math.max(0, Math.min(endMs, callerMs) - startMs),
  };
  const echo = new EchoWords({ vad, listener, playout: { spokenWords: OURS } });
  const said = words.split(" ").map((word, index) => ({
    word,
    startMs: fromMs + index * MS_PER_WORD,
    endMs: fromMs + (index + 1) * MS_PER_WORD,
  }));
  listener.onFinal({ text: words, words: said, startMs: fromMs, endMs: said.at(-1)!.endMs }, true, 0);
  return { listener, echo };
}

/** Of these words, the first at this position, what is left for the caller's turn. */
function left(words: string, fromMs = SILENT_MS - 300, callerMs = CALLER_MS): string {
  const { listener, echo } = hearing(words, fromMs, callerMs);
  echo.onSilent();
  echo.forgetLate();
  return listener.text;
}

void t.test("our last words, heard back after we fell silent, are dropped", async (t) => {
  t.equal(left("Friday at noon"), "");
  t.equal(left("fryday at noom"), "", "misheard");
});

void t.test("the caller's words stay, behind ours and when he says ours himself", async (t) => {
  t.equal(left("Friday at noon please"), "please", "his answer stands behind our echo");
  t.equal(left("Friday at noon", CALLER_MS), "Friday at noon");
  t.equal(left("do you do crowns"), "do you do crowns", "three in a row that are not ours");
});

void t.test("our words are no echo once it cannot come any more, nor before we said anything", async (t) => {
  t.equal(left("Friday", SILENT_MS + ECHO_TEXT_AFTER_MS, Number.POSITIVE_INFINITY), "Friday");
  const { listener, echo } = hearing("Friday at noon", SILENT_MS - 300);
  echo.forgetLate();
  t.equal(listener.text, "Friday at noon");
});

void t.test("while we speak each word is told apart by what we say, and by who was heard", async (t) => {
  const { listener, echo } = hearing("at noon wait stop", CALLER_MS - 2 * MS_PER_WORD);
  t.same(echo.whose(listener.wordsAfter(0)), { caller: ["wait", "stop"], echoCount: 2, isEcho: false });
});
