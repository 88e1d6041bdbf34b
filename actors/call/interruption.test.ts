import t from "tap";
import { VirtualClock } from "#runtime/actor";
import type { JournalEvent } from "#actors/journal";
import { FrameKind } from "#actors/speech";
import { CUT_WITHOUT_WORDS_MS, PAUSE_AFTER_MS, RESUME_AFTER_MS } from "./barge-in.js";
import { EchoWords } from "./echo-words.js";
import { Interruption } from "./interruption.js";
import { JournalWriter } from "./journal-writer.js";
import { Listener } from "./listener.js";

const MS_PER_WORD = 300;
/** Where in the caller's audio the reply begins. */
const FROM_MS = 10_000;
const OURS = "we have Monday at nine or Friday at noon".split(" ");

/** A reply is being said; `echoUntilMs`: what comes in before is our echo. */
function speaking(echoUntilMs = 0) {
  const listener = new Listener();
  const events: JournalEvent[] = [];
  const asked = { finals: 0, toldLate: [] as number[] };
  const vad = {
    isSpeech: false,
    speechStartedAtMs: null as number | null,
    lastSpeechAtMs: null as number | null,
    positionMs: FROM_MS,
    msOf: (kind: FrameKind, startMs: number, endMs: number) =>
      kind === FrameKind.speech
        ? Math.max(0, endMs - Math.max(startMs, echoUntilMs))
        : Math.max(0, Math.min(endMs, echoUntilMs) - startMs),
  };
  const playout = {
    isPaused: false,
    spokenWords: OURS,
    pause: () => void (playout.isPaused = true),
    resume: () => void (playout.isPaused = false),
  };
  const deps = {
    language: "en",
    vad,
    listener,
    playout,
    echo: new EchoWords({ vad, listener, playout }),
    callerTurn: {
      number: 3,
      hasNews: true,
      tellLate: (beforeMs: number) => void asked.toldLate.push(beforeMs),
    },
    counters: { bargeInRejected: () => {} },
    journal: new JournalWriter("call", 1, 0, new VirtualClock(), (event) => events.push(event) > 0),
    onWordsMissing: () => void (asked.finals += 1),
  };
  const interruption = new Interruption(deps, FROM_MS);
  /** He has been speaking for so long. */
  const speak = (speechMs: number): void => {
    vad.isSpeech = true;
    vad.speechStartedAtMs = FROM_MS;
    vad.lastSpeechAtMs = FROM_MS + speechMs;
    vad.positionMs = FROM_MS + speechMs;
  };
  const fallSilent = (): void => {
    vad.isSpeech = false;
    vad.positionMs += 400;
  };
  const hear = (text: string, fromMs = FROM_MS): void => {
    const words = text.split(" ").map((word, index) => ({
      word,
      startMs: fromMs + index * MS_PER_WORD,
      endMs: fromMs + (index + 1) * MS_PER_WORD,
    }));
    listener.onFinal({ text, words, startMs: fromMs, endMs: words.at(-1)!.endMs }, true, 0);
  };
  const rejected = () =>
    events.map((event) => (event.kind === "bargeInRejected" ? event.reason : event.kind));
  return { interruption, listener, playout, asked, speak, fallSilent, hear, rejected };
}

void t.test("sound pauses the reply, words cut it, and so does sound that goes on without any", async (t) => {
  for (const word of [true, false]) {
    const { interruption, playout, speak, hear } = speaking();
    speak(PAUSE_AFTER_MS - 20);
    t.notOk(interruption.isCut(0));
    t.notOk(playout.isPaused, "a click");
    speak(PAUSE_AFTER_MS);
    t.notOk(interruption.isCut(0));
    t.ok(playout.isPaused);
    if (word) hear("wait");
    else speak(CUT_WITHOUT_WORDS_MS);
    t.ok(interruption.isCut(0));
  }
});

void t.test("a backchannel is for nothing: the reply goes on, and it is no part of a turn", async (t) => {
  const { interruption, listener, playout, asked, speak, fallSilent, hear, rejected } = speaking();
  speak(MS_PER_WORD);
  interruption.isCut(0);
  hear("uh-huh");
  fallSilent();
  t.notOk(interruption.isCut(RESUME_AFTER_MS - 1));
  t.ok(playout.isPaused, "more may follow");
  t.notOk(interruption.isCut(RESUME_AFTER_MS));
  t.notOk(playout.isPaused);
  t.ok(listener.isEmpty);
  t.same([rejected(), asked.finals], [["backchannel"], 0]);
});

void t.test(
  "a sound of which no word has come: the reply goes on, and one that comes late does not cut it",
  async (t) => {
    const { interruption, listener, playout, asked, speak, fallSilent, hear, rejected } = speaking();
    speak(MS_PER_WORD);
    interruption.isCut(0);
    fallSilent();
    t.notOk(interruption.isCut(RESUME_AFTER_MS));
    t.notOk(playout.isPaused);
    t.same([rejected(), asked.finals], [["tooShort"], 1], "the recogniser is asked for its final");
    hear("wait");
    t.notOk(interruption.isCut(RESUME_AFTER_MS));
    t.equal(listener.text, "wait", "it is the next turn's");
  },
);

void t.test("our echo does not cut us, and is forgotten", async (t) => {
  const { interruption, listener, hear } = speaking(Number.POSITIVE_INFINITY);
  hear("Friday at noon");
  t.notOk(interruption.isCut(0));
  t.ok(listener.isEmpty);
});

void t.test("of a cut the words before the caller's are dropped, where they are our echo", async (t) => {
  const echoUntilMs = FROM_MS + 2 * MS_PER_WORD;
  const cut = speaking(echoUntilMs);
  cut.speak(4 * MS_PER_WORD);
  cut.hear("at noon wait stop");
  t.ok(cut.interruption.isCut(0));
  t.equal(cut.listener.text, "wait stop");

  const late = speaking(echoUntilMs);
  late.hear("and one more thing", FROM_MS - 4 * MS_PER_WORD);
  late.speak(4 * MS_PER_WORD);
  late.hear("at noon wait stop");
  t.ok(late.interruption.isCut(0));
  t.equal(late.listener.text, "and one more thing at noon wait stop", "what he had said before is not lost");
});

void t.test("words of before the reply that come during it do not cut it; the journal is told", async (t) => {
  const { interruption, listener, asked, hear } = speaking();
  hear("and one more thing", FROM_MS - 4 * MS_PER_WORD);
  t.notOk(interruption.isCut(RESUME_AFTER_MS));
  t.same(asked.toldLate, [FROM_MS]);
  t.equal(listener.text, "and one more thing");
});
