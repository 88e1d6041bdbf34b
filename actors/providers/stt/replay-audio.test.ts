import t from "tap";
import { seededRandom } from "#runtime/actor";
import { MULAW_8K } from "#runtime/media";
import { ReplayAudio } from "./replay-audio.js";

/** Told by its position and by whose it is. */
function byteAt(owner: number, position: number): number {
  return (position * 7 + owner * 101 + (position >> 8)) & 0xff;
}

void t.test(
  "lines that take and free the same chunks read their own audio, all of it and no other",
  async (t) => {
    const seed = Number(process.env["SEED"] ?? 20_260_101);
    const random = seededRandom(seed);
    const lines = Array.from({ length: 4 }, () => ({
      audio: new ReplayAudio(MULAW_8K, 4_000),
      startMs: 0,
      endMs: 0,
    }));
    for (let step = 0; step < 2_000; step++) {
      const owner = Math.floor(random.next() * lines.length);
      const line = lines[owner]!;
      if (random.next() < 0.01) {
        line.audio.clear();
        t.equal(line.audio.capacityBytes, 0);
        line.startMs = line.endMs;
      }
      const ms = 20 * (1 + Math.floor(random.next() * 30));
      const piece = Uint8Array.from({ length: ms * 8 }, (_, i) => byteAt(owner, line.endMs * 8 + i));
      line.audio.append(piece, undefined);
      line.endMs += ms;
      if (random.next() < 0.2) {
        line.startMs = Math.max(line.startMs, line.endMs - 20 * Math.floor(random.next() * 100));
        line.audio.dropBefore(line.startMs);
      }
      line.startMs = Math.max(line.startMs, line.endMs - 4_000);
    }
    for (const [owner, { audio, startMs, endMs }] of lines.entries()) {
      const bytes: number[] = [];
      audio.readFrom(0, (piece) => bytes.push(...piece));
      t.equal(audio.startMs, startMs);
      t.equal(audio.endMs, endMs);
      const expected = Array.from({ length: (endMs - startMs) * 8 }, (_, i) =>
        byteAt(owner, startMs * 8 + i),
      );
      t.strictSame(Buffer.from(bytes).equals(Buffer.from(expected)), true, `line ${owner} (SEED=${seed})`);
    }
  },
);
