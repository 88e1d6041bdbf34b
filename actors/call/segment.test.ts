import t from "tap";
import type { TtsEvents, TtsProvider } from "#actors/providers";
import { MAX_SEGMENT_AUDIO_MS } from "./limits.js";
import { Segment } from "./segment.js";

for (const [encoding, sampleRateHz, bytesPerMs] of [
  ["mulaw", 8_000, 8],
  ["l16le", 16_000, 32],
] as const) {
  void t.test(
    `${encoding} at ${sampleRateHz} Hz: a voice that never stops is cut at the bound`,
    async (t) => {
      let voice: TtsEvents | null = null;
      let cancelled = false;
      const tts = {
        speak: (_request: unknown, events: TtsEvents) => {
          voice = events;
          return { push: () => {}, finish: () => {}, cancel: () => (cancelled = true) };
        },
      } as unknown as TtsProvider;
      const format = { encoding, sampleRateHz };
      const request = { callId: "c", model: "m", voice: "v", language: "en", format };
      const segment = Segment.live(tts, request, (body) => body(), {
        onSwitched: () => {},
        onProgress: () => {},
        onFailed: () => t.fail("a long reply is no failure"),
      });
      const second = new Uint8Array(1_000 * bytesPerMs);
      for (let at = 0; at < MAX_SEGMENT_AUDIO_MS; at += 1_000) voice!.onAudio(second);
      t.notOk(cancelled, "as much as may be");
      voice!.onAudio(second);
      t.ok(cancelled);
      let heardBytes = 0;
      segment.drainTo({
        text: () => {},
        words: () => {},
        audio: (bytes) => (heardBytes += bytes.length),
        segmentEnd: () => {},
        leftMs: 0,
      });
      t.equal(heardBytes, MAX_SEGMENT_AUDIO_MS * bytesPerMs);
      t.ok(segment.isSpoken);
    },
  );
}
