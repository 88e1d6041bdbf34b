/** Test helper: agents for ScriptedPeer, without a node. */
import { ToneDecoder, WORD_UNDERSTOOD, toneVoice } from "#bench/speech";
import { decodeInto, encodeInto } from "#runtime/media";
import { type SeenSocket, sendMark, sendMedia } from "./scripted-peer.js";

/**
 * How long after the last word the agent takes the caller's turn as over: longer than a word takes. In audio, not by the
 * clock: a caller whose process waits for a processor in mid-sentence has not said it all.
 */
const TURN_END_SAMPLES = 0.7 * 8_000;

export function spoken(text: string): Uint8Array {
  const { samples } = toneVoice.synthesize(text);
  const audio = new Uint8Array(samples.length);
  encodeInto("mulaw", samples, 0, samples.length, audio, 0);
  return audio;
}

/**
 * An agent that greets and then answers each thing the caller says with what `answer` makes of it; null ends
 * the call once everything was played.
 */
export function converse(
  socket: SeenSocket,
  greeting: string,
  answer: (said: string) => string | null,
): void {
  let words: string[] = [];
  let samplesSinceWord = 0;
  const reply = (): void => {
    const text = answer(words.join(" "));
    words = [];
    if (text === null) socket.socket.close(1000);
    else sendMedia(socket, spoken(text));
    if (text !== null) sendMark(socket, text);
  };
  const decoder = new ToneDecoder((word) => {
    if (word.confidence < WORD_UNDERSTOOD) return;
    words.push(word.word);
    samplesSinceWord = 0;
  });
  socket.socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { event: string; media?: { payload: string } };
    if (message.event === "start") sendMedia(socket, spoken(greeting));
    if (message.media === undefined) return;
    const audio = Buffer.from(message.media.payload, "base64");
    const samples = new Int16Array(audio.length);
    decodeInto("mulaw", audio, 0, audio.length, samples, 0);
    samplesSinceWord += samples.length;
    decoder.push(samples);
    if (words.length > 0 && samplesSinceWord >= TURN_END_SAMPLES) reply();
  });
}
