/**
 * Audio of one reply on its way into the out-ring: pieces as the voice delivers them, how much of them was written, and
 * those that were played let go of, since a long reply is more than the rest of the call.
 *
 *   |=== gone ===|=== written, not played ===|=== waits ===|
 *   0                                     written       appended
 */
import type { OutRingProducer } from "#runtime/media";

const noAudio = new Uint8Array(0);

export class HeldAudio {
  readonly #pieces: Uint8Array[] = [];
  /** What is written next: this byte of this piece. */
  #piece = 0;
  #offset = 0;
  #appendedBytes = 0;
  #writtenBytes = 0;
  /** Pieces let go of, and their bytes. */
  #goneCount = 0;
  #goneBytes = 0;

  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get isAllWritten(): boolean {
    return this.#writtenBytes === this.#appendedBytes;
  }

  /** Memory taken by audio that has not been played. */
  get keptBytes(): number {
    return this.#pieces.reduce((bytes, piece) => bytes + piece.length, 0);
  }

  push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#appendedBytes += bytes.length;
  }

  /** So much can be written at once: the rest of a piece. Only while not all is written. */
  get nextBytes(): number {
    return this.#pieces[this.#piece]!.length - this.#offset;
  }

  /** At most `nextBytes`; the answer is how much of them the ring took. */
  writeTo(ring: OutRingProducer, lengthBytes: number, nowMs: number): number {
    const piece = this.#pieces[this.#piece]!;
    const accepted = ring.tryWriteAudio(piece, this.#offset, lengthBytes, nowMs);
    this.#writtenBytes += accepted;
    this.#offset += accepted;
    if (this.#offset >= piece.length) {
      this.#piece += 1;
      this.#offset = 0;
    }
    return accepted;
  }

  /** Of whole pieces that were played, and so written; their places stay. */
  letGo(playedBytes: number): void {
    for (;;) {
      const piece = this.#pieces[this.#goneCount];
      if (piece === undefined || this.#goneBytes + piece.length > playedBytes) return;
      this.#pieces[this.#goneCount] = noAudio;
      this.#goneCount += 1;
      this.#goneBytes += piece.length;
    }
  }

  /** The reply is over: its audio goes, what is known of it stays. */
  release(): void {
    this.#pieces.length = 0;
  }

  /** Another reply. */
  reset(): void {
    this.#pieces.length = 0;
    this.#piece = 0;
    this.#offset = 0;
    this.#appendedBytes = 0;
    this.#writtenBytes = 0;
    this.#goneCount = 0;
    this.#goneBytes = 0;
  }
}
