import t from "tap";
import { ToneDecoder, toneVoice } from "#bench/speech";
import { FRAME_SAMPLES, encodeSpeech } from "./encoded-speech.js";

const TEXT = "Please say alfa bravo";

void t.test(
  "speech that begins somewhere in a frame is the same speech, and ends in its last word's frame",
  (t) => {
    const aligned = encodeSpeech(toneVoice, TEXT);
    for (let leadSamples = 0; leadSamples < FRAME_SAMPLES; leadSamples += 13) {
      const speech = encodeSpeech(toneVoice, TEXT, leadSamples);
      const heard: string[] = [];
      const decoder = new ToneDecoder(({ word }) => heard.push(word));
      for (let frame = 0; frame <= speech.lastSpeechFrame + 1; frame += 1)
        decoder.push(speech.frameSamples(frame));
      t.equal(heard.join(" "), TEXT, `${leadSamples} samples into a frame`);
      t.equal(speech.lastSpeechFrame - aligned.lastSpeechFrame, leadSamples === 0 ? 0 : 1);
    }
    t.end();
  },
);
