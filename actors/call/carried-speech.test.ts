/** What a leg tells of a reply whose actor is gone. */
import t from "tap";
import { MULAW_8K, type PlayoutRest } from "#runtime/media";
import { carriedSpeech } from "./carried-speech.js";
import { isOfTurn, markNumber, readMark } from "./reply-marks.js";
import type { OpenReply } from "./reply-progress.js";

const OPEN: OpenReply = { turn: 3, source: "model", intended: "one two three four five six", heard: "" };
const mark = (words: number, turn = 3): number => markNumber(words + 1, turn, words);

/** Two words were heard, three sent, and the audio of the fourth and fifth waits. */
const PLAYING: PlayoutRest = {
  audio: new Uint8Array(2_400).fill(1),
  marks: [
    { id: mark(4), atBytes: 800 },
    { id: mark(5), atBytes: 2_400 },
  ],
  cue: 1,
  sentMark: mark(3),
  echoedMark: mark(2),
  isOut: true,
  wasCut: false,
  wasPaused: false,
};

void t.test("a mark's number holds turn and words, and its serial keeps it apart from its like", (t) => {
  for (const [serial, turn, words] of [
    [1, 0, 0],
    [4_095, 255, 4_095],
    [5_000, 300, 9_000],
  ] as const) {
    const number = markNumber(serial, turn, words);
    t.equal(number, number >>> 0, "u32");
    t.equal(readMark(number).wordCount, Math.min(words, 4_095));
    t.ok(isOfTurn(number, turn));
    t.notOk(isOfTurn(number, turn + 1));
    t.not(number, markNumber(serial + 1, turn, words));
  }
  t.end();
});

void t.test("a reply goes on behind what was heard, with the audio there is", (t) => {
  const carried = carriedSpeech(PLAYING, OPEN, MULAW_8K);
  t.match(carried, { kind: "goesOn", heardCount: 2, queuedCount: 1, speech: { text: "three four five" } });
  if (carried.kind !== "goesOn") throw new Error("it does not go on");
  t.equal(carried.speech.audio.length, 2_400);
  t.same(
    carried.speech.words.map(({ word, endMs }) => [word, endMs]),
    [
      ["three", 0],
      ["four", 100],
      ["five", 300],
    ],
    "the carrier has the third; the others end where their marks stand",
  );
  t.end();
});

void t.test("nothing was sent yet, everything was, or only the carrier has it", (t) => {
  const begun = { ...PLAYING, sentMark: null, echoedMark: null };
  t.match(carriedSpeech(begun, OPEN, MULAW_8K), {
    heardCount: 0,
    queuedCount: 0,
    speech: { text: "one two three four five" },
  });
  const sent = { ...PLAYING, audio: new Uint8Array(), marks: [] };
  t.match(carriedSpeech(sent, OPEN, MULAW_8K), { heardCount: 2, queuedCount: 1, speech: { text: "three" } });
  const all = { ...sent, sentMark: mark(6), echoedMark: mark(6) };
  t.match(carriedSpeech(all, OPEN, MULAW_8K), { heardCount: 6, queuedCount: 0, speech: { text: "" } });
  t.end();
});

/**
 * Found by the simulator: an actor crashed as it began to ask whether anybody is there. The marks of the greeting, of the
 * same turn and the last to come back, counted as those of the question, which was then told as half heard.
 */
void t.test("marks of a reply before it, of the same turn, tell nothing of this one", (t) => {
  const begun = {
    ...PLAYING,
    cue: 4_090,
    sentMark: markNumber(4_085, 3, 6),
    echoedMark: markNumber(4_085, 3, 6),
  };
  t.match(carriedSpeech({ ...begun, marks: [], audio: new Uint8Array() }, OPEN, MULAW_8K), {
    heardCount: 0,
    queuedCount: 0,
    speech: { text: "" },
  });
  const sent = { ...begun, sentMark: markNumber(4_097, 3, 1) };
  t.match(carriedSpeech(sent, OPEN, MULAW_8K), { heardCount: 0, queuedCount: 1 });
  t.end();
});

void t.test("words that the journal does not know are left out, with their audio", (t) => {
  const carried = carriedSpeech(PLAYING, { ...OPEN, intended: "one two three four" }, MULAW_8K);
  t.match(carried, { kind: "goesOn", speech: { text: "three four" } });
  t.equal(carried.kind === "goesOn" && carried.speech.audio.length, 800);
  t.end();
});

void t.test("what the leg plays and the journal does not know must be forgotten", (t) => {
  t.same(carriedSpeech(PLAYING, null, MULAW_8K), { kind: "unknown", isOut: true });
  t.same(carriedSpeech(PLAYING, { ...OPEN, turn: 4 }, MULAW_8K), { kind: "unknown", isOut: true });
  t.same(carriedSpeech({ ...PLAYING, isOut: false }, null, MULAW_8K), { kind: "unknown", isOut: false });
  t.same(carriedSpeech(null, OPEN, MULAW_8K), { kind: "unknown", isOut: false }, "a new leg");
  t.end();
});

void t.test("a reply that the caller had cut is not gone on with", (t) => {
  const cut = { ...PLAYING, wasCut: true, isOut: false, marks: [], sentMark: null, echoedMark: null };
  t.same(carriedSpeech(cut, OPEN, MULAW_8K), { kind: "cut" });
  t.end();
});
