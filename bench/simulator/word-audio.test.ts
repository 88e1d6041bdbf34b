import t from "tap";
import { FRAME_BYTES, NOISE_FRAME, SILENT_FRAME, WORD_FRAMES, WordEar, wordsAudio } from "./word-audio.js";

/** The words of `audio`, heard in pieces of a frame; `between` runs before each. */
function heard(audio: Uint8Array, between: (ear: WordEar, piece: number) => void = () => {}): string[] {
  const ear = new WordEar();
  const words: string[] = [];
  for (let at = 0; at + FRAME_BYTES <= audio.length; at += FRAME_BYTES) {
    between(ear, at / FRAME_BYTES);
    const word = ear.hear(audio, at);
    if (word !== null) words.push(word);
  }
  return words;
}

/** Frames that begin `shift` bytes after pieces do, with noise before them. */
function shifted(audio: Uint8Array, shift: number): Uint8Array {
  const rest = (FRAME_BYTES - shift) % FRAME_BYTES;
  return Buffer.concat([NOISE_FRAME.subarray(0, shift), audio, SILENT_FRAME.subarray(0, rest)]);
}

void t.test("words are heard wherever their frames begin", async (t) => {
  for (const shift of [0, 1, 79, 159])
    t.strictSame(heard(shifted(wordsAudio(["one", "two"]), shift)), ["one", "two"], `${shift} bytes`);
});

void t.test("a frame that is missing makes a word none, and the next is heard", async (t) => {
  const audio = wordsAudio(["one", "two"]);
  const missing = 5 * FRAME_BYTES;
  const torn = Buffer.concat([audio.subarray(0, missing), audio.subarray(missing + FRAME_BYTES)]);
  t.strictSame(heard(torn), ["two"]);
});

void t.test("silence between two frames of a word takes nothing from it", async (t) => {
  const wait = (ear: WordEar, piece: number): void => {
    if (piece % WORD_FRAMES === 7) for (let count = 0; count < 20; count++) ear.hear(SILENT_FRAME, 0);
  };
  t.strictSame(heard(wordsAudio(["one", "two"]), wait), ["one", "two"]);
});
