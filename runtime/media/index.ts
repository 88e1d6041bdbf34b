/**
 * Audio on its way through a node: rings in shared memory, codecs, resampling, pacing.
 *
 * ```ts
 * // The edge's thread allocates; a call takes a slot.
 * const arena = Arena.create({ slotCount: 200 });
 * const edge = arena.edgeSide(slot);
 * edge.reset();
 * edge.in.writeAudio(bytes, 0, 160, clock.nowMs());
 * if (arena.inBell.ring(slot)) port.postMessage(null); // at most one wake-up per batch
 *
 * // The shard's thread attaches to arena.buffer and drains what was rung.
 * const { in: audioIn, out: audioOut } = arena.shardSide(slot);
 * while (audioIn.read()) {
 *   if (audioIn.kind === RecordKind.audio) vad.push(audioIn.payload, audioIn.length);
 * }
 * const accepted = audioOut.tryWriteAudio(reply, 0, reply.length, clock.nowMs()); // less than asked: full
 * audioOut.bumpEpoch(); // barge-in: forget what is queued
 * if (arena.outBell.ring(slot)) port.postMessage(null);
 *
 * // The edge sends what is there, at a pace that does not drift, and sleeps when nothing is left.
 * const frames = new FrameClock(clock, FRAME_MS, (nowMs) => {
 *   if (!edge.out.read()) return;
 *   leg.send(edge.out.payload, edge.out.length);
 *   frames.tickAt(frames.grid.deadlineMs(frames.grid.indexAt(nowMs) + 1));
 * });
 * frames.tickAt(frames.grid.deadlineFrom(clock.nowMs()));
 *
 * // Samples, where somebody needs them: the line's bytes to 16 kHz linear.
 * const resampler = new Resampler(8_000, 16_000);
 * const sampleCount = decodeInto("mulaw", bytes, 0, 160, samples, 0);
 * const wideCount = resampler.process(samples, 0, sampleCount, wideSamples, 0);
 * ```
 */
export { Arena, type EdgeSlot, type ShardSlot, type SlotStats } from "./arena.js";
export { decodeInto, encodeInto, silenceByte } from "./codec.js";
export type { Doorbell } from "./doorbell.js";
export {
  type AudioEncoding,
  type AudioFormat,
  FRAME_MS,
  MULAW_8K,
  type SampleRateHz,
  type VoiceRateHz,
  bytesPerMs,
  bytesPerSample,
} from "./format.js";
export { FrameClock } from "./frame-clock.js";
export { FrameGrid } from "./frame-grid.js";
export { alawSamples, mulawSamples } from "./g711.js";
export type { InRingConsumer, InRingProducer } from "./in-ring.js";
export { NapFlag } from "./nap-flag.js";
export {
  type ArenaLayout,
  DEFAULT_BYTES_PER_SLOT,
  DEFAULT_RECORD_COUNT,
  MAX_SLOT_COUNT,
  RECORD_PAYLOAD_BYTES,
} from "./layout.js";
export type { OutRingConsumer, OutRingProducer } from "./out-ring.js";
export type { PlayoutRest } from "./playout-rest.js";
export { type HeldRecord, LegEnd, RecordKind } from "./records.js";
export { Resampler } from "./resampler.js";
export { type AudioReplay, NOTHING_UNTOLD, type UntoldAudio, replayOf } from "./untold-audio.js";
export { WAV_HEADER_BYTES, wavHeader } from "./wav.js";
