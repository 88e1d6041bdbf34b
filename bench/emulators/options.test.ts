import t from "tap";
import { EMULATOR_API_KEY, resolveEmulatorOptions } from "./options.js";

void t.test("what nobody sets is as documented, each latency with a tenth of jitter", (t) => {
  const settings = resolveEmulatorOptions({});
  t.same(settings.latency, {
    sttInterimMs: { medianMs: 100, jitterMs: 10 },
    sttFinalMs: { medianMs: 150, jitterMs: 15 },
    sttFinalizeMs: { medianMs: 50, jitterMs: 5 },
    llmFirstTokenMs: { medianMs: 200, jitterMs: 20 },
    ttsFirstAudioMs: { medianMs: 40, jitterMs: 4 },
  });
  t.match(settings, { host: "127.0.0.1", apiKey: EMULATOR_API_KEY, voice: { name: "tones" } });
  t.same(settings.rates, { llmTokensPerSecond: 500, ttsRealtimeFactor: 20, sttMaxRealtimeFactor: Infinity });
  t.end();
});

void t.test("one setting leaves the others as they are; a rate that stands still is refused", (t) => {
  const settings = resolveEmulatorOptions({
    latency: { sttFinalMs: { medianMs: 300, jitterMs: 0 } },
    limits: { deepgramStreams: 50 },
  });
  t.equal(settings.latency.sttFinalMs.medianMs, 300);
  t.equal(settings.latency.sttInterimMs.medianMs, 100);
  t.equal(settings.limits.deepgramStreams, 50);
  t.equal(settings.limits.cartesiaContexts, 4_096);
  t.throws(() => resolveEmulatorOptions({ llmTokensPerSecond: 0 }), /llmTokensPerSecond must be above 0/);
  t.end();
});
