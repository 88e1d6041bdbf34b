/**
 * Tone speech: text that travels as real audio through rings, codecs and sockets, and is read back on the
 * other side word by word while it is spoken.
 *
 * ```ts
 * const speech = toneVoice.synthesize("Do you have a table for two?");
 * const decoder = new ToneDecoder((word) => {
 *   if (word.confidence >= WORD_UNDERSTOOD) heard.push(word.word);
 * });
 * for (let at = 0; at < speech.samples.length; at += 160) decoder.push(speech.samples, at, 160);
 * assert.deepEqual(heard, normalizeWords("Do you have a table for two?"));
 * ```
 *
 * Beside it, sounds whose truth is known (syllables, noises), to judge a voice detector by.
 *
 * All of it is 8 kHz, mono, 16 bits; who carries another rate resamples, and keeps the band up to 3400 Hz.
 */
export { normalizeWords } from "./alphabet.js";
export { EnergyDetector, type EnergyDetectorOptions } from "./energy-detector.js";
export { mixNoise } from "./noise.js";
export {
  NOISE_COLOURS,
  type NoiseColour,
  encodeForLeg,
  mixAt,
  noise,
  syllables,
} from "./sounds.js";
export { type SpokenVoiceOptions, loadSpokenVoice } from "./spoken-voice.js";
export { type DecodedWord, ToneDecoder, WORD_UNDERSTOOD } from "./tone-decoder.js";
export { type SpeechWord, type SynthesizedSpeech, type Voice, toneVoice } from "./tone-voice.js";
export { type WavAudio, decodeWav, encodeWav, writeStereoWav } from "./wav.js";
