import t from "tap";
import { MULAW_8K } from "#runtime/media";
import type { TtsWord } from "../tts/provider.js";
import { SWEEP_INTERVAL_MS } from "../due-sweep.js";
import { chainBench, ScriptedTts, failure } from "./chain.fixture.js";
import { ROOM_PATIENCE_MS } from "./chain.js";
import { FIRST_AUDIO_PATIENCE_MS, LIMITED_PAUSE_MS, TtsChain, VOICE_STALL_PATIENCE_MS } from "./tts-chain.js";
import { restAfterMs, restAfterWords } from "./spoken-rest.js";

const WORD_MS = 300;
const TTS_REQUEST = { callId: "c", model: "", voice: "", language: "en", format: MULAW_8K };

function timed(text: string): TtsWord[] {
  return text.split(" ").map((word, index) => ({
    word,
    startMs: index * WORD_MS,
    endMs: (index + 1) * WORD_MS,
  }));
}

/** Audio of which every byte says which voice made it. */
function audio(ms: number, mark: number): Uint8Array {
  return new Uint8Array(ms * 8).fill(mark);
}

function setUp(names: readonly string[] = ["one", "two"]) {
  const bench = chainBench();
  const voices = names.map((name) => new ScriptedTts(name));
  const chain = new TtsChain(
    voices.map((tts) => ({
      name: tts.name,
      model: `${tts.name}-model`,
      voice: `${tts.name}-voice`,
      account: bench.accounts.get("TTS", tts.name),
      provider: () => tts,
    })),
    { ...bench, tenantId: "t" },
  );
  const told: string[] = [];
  const words: TtsWord[] = [];
  const heardMs = new Map<number, number>();
  const stream = chain.speak(TTS_REQUEST, {
    onAudio: (bytes) => {
      for (const mark of bytes) heardMs.set(mark, (heardMs.get(mark) ?? 0) + 1 / 8);
    },
    onWords: (more) => words.push(...more),
    onSwitched: (from, to, code) => told.push(`${from} ${code} ${to}`),
    onDone: () => told.push("done"),
    onError: (error) => told.push(`error ${error.code}`),
  });
  return { ...bench, bench, stream, told, words, heardMs, one: voices[0]!, two: voices[1]! };
}

void t.test(
  "one voice says it all: audio and words pass as they come, and nothing is left behind",
  async (t) => {
    const { stream, one, told, words, heardMs, bench } = setUp();
    stream.push("Yes, of course.");
    stream.finish();
    one.last.events.onWords(timed("Yes, of course."));
    one.last.events.onAudio(audio(450, 1));
    one.last.events.onAudio(audio(450, 1));
    one.last.events.onDone();
    t.same(words, timed("Yes, of course."));
    t.equal(heardMs.get(1), 900);
    t.same(told, ["done"]);
    t.equal(one.last.request.voice, "one-voice");
    t.equal(bench.inFlight(), 0);
    t.equal(bench.sweep.size, 0);
  },
);

void t.test(
  "a voice that dies in mid-word: the next begins with that word, and its half is not heard",
  async (t) => {
    const { stream, one, two, told, words, heardMs } = setUp();
    const text = "We can book that for Monday at nine.";
    stream.push(text.slice(0, 20));
    one.last.events.onWords(timed("We can book that"));
    one.last.events.onAudio(audio(300, 1));
    one.last.events.onAudio(audio(450, 1)); // two words and a half
    one.last.events.onError(failure("TTS_STREAM_BROKEN"));
    t.equal(heardMs.get(1), 2 * WORD_MS, "up to the end of a word");
    t.equal(two.last.text, text.slice(7, 20));
    t.equal(two.last.request.voice, "two-voice");
    stream.push(text.slice(20));
    stream.finish();
    t.equal(
      two.last.text,
      text.slice(7),
      "from the first word that was not said, with what was written since",
    );
    t.ok(two.last.finished);
    two.last.events.onWords(timed("book that for Monday at nine."));
    two.last.events.onAudio(audio(6 * WORD_MS, 2));
    two.last.events.onDone();
    t.same(told, ["one TTS_STREAM_BROKEN two", "done"]);
    const all = words.map(({ word }) => word).join(" ");
    t.ok(all === text || all === text.replace("book", "book book"), all);
    t.same(words.at(-1), { word: "nine.", startMs: 7 * WORD_MS, endMs: 8 * WORD_MS });
    t.equal(heardMs.get(2), 6 * WORD_MS);
  },
);

void t.test("text that keeps coming makes nobody wait longer for a voice that says nothing", async (t) => {
  const { stream, one, two, told, clock } = setUp();
  let all = "";
  for (let waitedMs = 0; waitedMs <= FIRST_AUDIO_PATIENCE_MS; waitedMs += 500) {
    all += "And one more thing. ";
    stream.push("And one more thing. ");
    clock.advance(500);
  }
  t.ok(one.last.cancelled);
  t.same(told, ["one TTS_TIMEOUT two"]);
  t.equal(two.last.text, all, "all of it");
});

void t.test(
  "before any audio everything is said by the next voice, and nothing after a cancel",
  async (t) => {
    const { stream, one, two, told, bench, clock } = setUp();
    stream.push("One two three.");
    clock.advance(FIRST_AUDIO_PATIENCE_MS + SWEEP_INTERVAL_MS);
    t.ok(one.last.cancelled, "nobody waits this long where there is another voice");
    t.equal(two.last.text, "One two three.");
    stream.cancel();
    t.ok(two.last.cancelled);
    two.last.events.onAudio(audio(100, 2));
    two.last.events.onError(failure("TTS_TIMEOUT"));
    clock.advance(60_000);
    t.same(told, ["one TTS_TIMEOUT two"]);
    t.equal(bench.inFlight(), 0);
    t.equal(bench.sweep.size, 0);
  },
);

void t.test("a missing done: what was said is not said again", async (t) => {
  const { stream, one, two, told, heardMs, clock } = setUp();
  stream.push("Yes, of course.");
  stream.finish();
  one.last.events.onAudio(audio(880, 1)); // the last word's time is rounded up
  one.last.events.onWords(timed("Yes, of course."));
  clock.advance(VOICE_STALL_PATIENCE_MS + SWEEP_INTERVAL_MS);
  t.same(told, ["done"]);
  t.equal(two.spoken.length, 0);
  t.equal(heardMs.get(1), 880);
});

void t.test("a voice that breaks off after its last word: the tail of it is heard", async (t) => {
  const { stream, one, told, heardMs } = setUp();
  stream.push("Yes, of course.");
  stream.finish();
  one.last.events.onWords(timed("Yes, of course."));
  one.last.events.onAudio(audio(600, 1));
  one.last.events.onAudio(audio(360, 1)); // 60 ms more than it says that its words last
  one.last.events.onError(failure("TTS_STREAM_BROKEN"));
  t.same(told, ["done"]);
  t.equal(heardMs.get(1), 960);
});

void t.test("held audio is let go before the ear needs it", async (t) => {
  const { stream, one, heardMs, clock } = setUp();
  stream.push("Wonderful indeed");
  one.last.events.onWords(timed("Wonderful indeed"));
  one.last.events.onAudio(audio(400, 1));
  one.last.events.onAudio(audio(100, 1));
  const early = heardMs.get(1)!;
  t.ok(early <= 500);
  clock.advance(400);
  t.equal(heardMs.get(1), 500, "V2");
});

void t.test("the last voice fails: the reply does, and a lone one is dialled once more", async (t) => {
  const { stream, one, told } = setUp(["one"]);
  stream.push("One two three.");
  stream.finish();
  one.last.events.onWords(timed("One two three."));
  one.last.events.onAudio(audio(WORD_MS, 1));
  one.last.events.onError(failure("TTS_STREAM_BROKEN"));
  t.equal(one.last.text, "two three.");
  one.last.events.onError(failure("TTS_STREAM_BROKEN"));
  t.same(told, ["one TTS_STREAM_BROKEN one", "error TTS_STREAM_BROKEN"]);
});

/** A voice with room for five replies let the sixth caller leave a message instead of an answer. */
void t.test(
  "alone and full, or told so by the vendor, room is waited for, and all the text is said",
  async (t) => {
    const { bench, one, stream, told, clock } = setUp(["one"]);
    const say = (text: string): void => {
      stream.push(text);
      clock.advance(SWEEP_INTERVAL_MS);
    };
    const account = bench.accounts.get("TTS", "one");
    const other = account.enter("other", "first");
    say("Yes, ");
    one.last.events.onError(failure("TTS_RATE_LIMITED", 500));
    say("of ");
    t.equal(one.spoken.length, 1, "told to wait");
    clock.advance(500);
    t.equal(one.spoken.length, 1, "full: the other one has all the room");
    if (typeof other === "object") other.left();
    say("course.");
    t.equal(one.spoken.length, 2);
    stream.finish();
    t.equal(one.last.text, "Yes, of course.");
    one.last.events.onAudio(audio(900, 1));
    one.last.events.onDone();
    t.same(told, ["one TTS_RATE_LIMITED one", "done"]);
    t.equal(bench.inFlight(), 0);
    t.equal(bench.sweep.size, 0);
  },
);

void t.test("a voice that has no room for three seconds, or says so, has failed", async (t) => {
  const often = setUp(["one"]);
  often.stream.push("Yes.");
  for (let ms = 0; ms <= 2 * ROOM_PATIENCE_MS; ms += SWEEP_INTERVAL_MS) {
    const { events, cancelled } = often.one.last;
    if (!cancelled && often.told.at(-1)?.startsWith("error") !== true)
      events.onError(failure("TTS_RATE_LIMITED"));
    often.clock.advance(SWEEP_INTERVAL_MS);
  }
  t.equal(often.told.at(-1), "error TTS_RATE_LIMITED");
  t.equal(often.one.spoken.length, ROOM_PATIENCE_MS / LIMITED_PAUSE_MS + 1);
  const long = setUp(["one"]);
  long.stream.push("Yes.");
  long.one.last.events.onError(failure("TTS_RATE_LIMITED", ROOM_PATIENCE_MS + 1));
  t.same(long.told, ["error TTS_RATE_LIMITED"]);
  t.equal(long.bench.sweep.size + often.bench.sweep.size, 0);
});

void t.test("the rest of a text is found by words, also where a voice writes them its own way", async (t) => {
  t.equal(restAfterWords("Dr. Smith is in.", ["Doctor", "Smith"]), "is in.");
  t.equal(restAfterWords("Dr. Smith is in.", ["Doctor"]), "Smith is in.");
  t.equal(restAfterWords("No, no, no way.", ["No,", "no,"]), "no way.");
  t.equal(restAfterWords("All said.", ["All", "said."]), "");
  t.equal(restAfterWords("Nothing said.", []), "Nothing said.");
});

void t.test("where words have no times, none is left out that even a slow voice had not said", async (t) => {
  t.equal(restAfterMs("Nothing said.", 0), "Nothing said.");
  t.equal(restAfterMs("One two three", 900), "two three");
  t.equal(restAfterMs("One", 5_000), "");
  // A voice of 90 ms a letter, which reads figures out and breathes after a clause.
  const text = "That is $1,250, Dr. Smith says, at www.example.com by 5 p.m. or on Monday.";
  const lasts = (word: string): number =>
    (/^\p{L}+[.,]?$/u.test(word) && !word.startsWith("Dr") ? word.length * 90 : word.length * 420) +
    (/[.,]$/.test(word) ? 250 : 0);
  let spokenMs = 200;
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    t.ok(restAfterMs(text, spokenMs + lasts(word) - 1).length >= text.length - index, word);
    spokenMs += lasts(word);
  }
  const again = "www.example.com by 5 p.m. or on Monday.";
  t.equal(restAfterMs(text, spokenMs), again, "nor is all of it said again");
});

void t.test(
  "a voice without word times breaks off: the next begins at a word, and none is lost",
  async (t) => {
    const { stream, one, two, words, heardMs, clock } = setUp();
    stream.push("We are open today. ");
    one.last.events.onAudio(audio(1_500, 1));
    one.last.events.onWords(timed("We are open today."));
    stream.push("On Saturdays we close at noon");
    one.last.events.onAudio(audio(1_400, 1));
    clock.advance(2_900); // the ear is near: what is held goes on
    one.last.events.onError(failure("TTS_STREAM_BROKEN"));
    const handedMs = heardMs.get(1)!;
    t.equal(handedMs, 2_900);
    t.equal(two.last.text, "we close at noon", "what even a slow voice has said is said");
    t.same(
      words.map(({ word }) => word),
      ["We", "are", "open", "today.", "On", "Saturdays"],
      "what is not said again has a time",
    );
    t.ok(words.at(-1)!.endMs <= handedMs);
  },
);
