/** A voice that is done at once: for the phrases that every world has in memory before it begins. */
import type { TtsEvents, TtsProvider, TtsRequest, TtsStream } from "#actors/providers";
import { WORD_MS, wordsAudio } from "./word-audio.js";

export class CartesiaVoice implements TtsProvider {
  readonly name = "cartesia";

  speak(_request: TtsRequest, events: TtsEvents): TtsStream {
    let text = "";
    return {
      push: (more) => {
        text += more;
      },
      finish: () => {
        queueMicrotask(() => {
          const words = text.split(/\s+/).filter(Boolean);
          events.onWords(
            words.map((word, index) => ({ word, startMs: index * WORD_MS, endMs: (index + 1) * WORD_MS })),
          );
          events.onAudio(wordsAudio(words));
          events.onDone();
        });
      },
      cancel: () => {},
    };
  }

  warm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
