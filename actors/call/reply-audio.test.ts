import t from "tap";
import { LumentraError } from "#runtime/errors";
import { MULAW_8K } from "#runtime/media";
import type { TtsEvents, TtsProvider } from "#actors/providers";
import { ReplyAudio } from "./reply-audio.js";
import type { SegmentSink } from "./segment.js";

const FILLER = { text: "One moment.", audio: new Uint8Array(800), words: [] };
const AUDIO = new Uint8Array(160);

function begun() {
  const voices: TtsEvents[] = [];
  const cancelled: number[] = [];
  const happened: string[] = [];
  const taken: string[] = [];
  const tts = {
    name: "tts",
    speak: (_request: unknown, events: TtsEvents) => {
      const index = voices.push(events) - 1;
      return { push() {}, finish() {}, cancel: () => cancelled.push(index) };
    },
  } as unknown as TtsProvider;
  const audio = new ReplyAudio(
    {
      tts,
      ttsRequest: { callId: "c", model: "m", voice: "v", language: "en", format: MULAW_8K },
      guard: (body) => body(),
      onSwitched: () => {},
    },
    {
      onFirst: () => happened.push("first"),
      onMute: () => happened.push("mute"),
      onDrained: () => happened.push("drained"),
      onFailed: (error) => happened.push(error.code),
    },
  );
  const sink: SegmentSink = {
    text: (piece) => taken.push(piece),
    audio: (bytes) => taken.push(`${bytes.length} bytes`),
    words: (words) => taken.push(words.map(({ word }) => `(${word})`).join("")),
    segmentEnd: () => taken.push("|"),
    leftMs: 0,
  };
  return { audio, voices, cancelled, happened, taken, sink };
}

void t.test(
  "whatever comes first, it leaves in the order of the text, and told where one ends",
  async (t) => {
    const { audio, voices, happened, taken, sink } = begun();
    audio.open().push("We are open");
    audio.addCached(FILLER);
    audio.open().push("until five.");
    voices[1]!.onAudio(AUDIO);
    voices[1]!.onDone();
    audio.attach(sink);
    t.same(taken, ["We are open"], "text is known ahead of its sound");
    voices[0]!.onWords([{ word: "We", startMs: 0, endMs: 10 }]);
    voices[0]!.onAudio(AUDIO);
    t.same(taken, ["We are open", "(We)", "160 bytes"]);
    t.notOk(audio.isTaken);
    voices[0]!.onDone();
    t.same(taken.slice(3), ["|", "One moment.", "800 bytes", "|", "until five.", "160 bytes", "|"]);
    t.ok(audio.isTaken);
    t.same(happened, ["first", "drained"]);
  },
);

void t.test("its first sound is told once, and again only when all of it was dropped", async (t) => {
  const { audio, voices, cancelled, happened } = begun();
  const segment = audio.open();
  voices[0]!.onAudio(AUDIO);
  voices[0]!.onAudio(AUDIO);
  t.ok(audio.hasAudio);
  audio.drop(segment);
  t.notOk(audio.hasAudio);
  t.notOk(audio.isWaiting);
  t.same(cancelled, [0]);
  audio.addCached(FILLER);
  t.same(happened, ["first", "first"]);

  audio.drop(audio.open());
  t.ok(audio.hasAudio, "of what was held before it something is left");
  t.ok(audio.isWaiting);
});

void t.test("it is mute once all that was opened has ended without a sound", async (t) => {
  const { audio, voices, happened, sink } = begun();
  audio.open();
  audio.open();
  voices[0]!.onDone();
  t.notOk(audio.isMute, "there may be one of the other");
  voices[1]!.onDone();
  t.ok(audio.isMute);
  t.same(happened, ["mute"]);
  t.notOk(audio.isTaken, "nobody has taken it yet");
  audio.attach(sink);
  t.ok(audio.isTaken);

  const heard = begun();
  heard.audio.addCached(FILLER);
  heard.audio.open();
  heard.voices[0]!.onDone();
  t.notOk(heard.audio.isMute);
});

void t.test("closed, it cancels every voice, and what still comes leaves no trace", async (t) => {
  const { audio, voices, cancelled, happened, taken, sink } = begun();
  audio.open();
  audio.open();
  audio.attach(sink);
  audio.close();
  audio.close();
  voices[0]!.onAudio(AUDIO);
  voices[0]!.onDone();
  audio.addCached(FILLER);
  t.same([cancelled, happened, taken], [[0, 1], [], []]);
});

void t.test("a voice that fails is told of", async (t) => {
  const { audio, voices, happened } = begun();
  audio.open();
  voices[0]!.onError(new LumentraError("TTS_STREAM_BROKEN", "scripted"));
  t.same(happened, ["TTS_STREAM_BROKEN"]);
});
