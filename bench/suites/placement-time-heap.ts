/** Numbers with the instants they are due at, the earliest first: a binary heap in typed arrays. */
export class TimeHeap {
  readonly #atMs: Float64Array;
  readonly #values: Int32Array;
  #size = 0;

  constructor(capacity: number) {
    this.#atMs = new Float64Array(capacity);
    this.#values = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  /** Infinity when empty. */
  get nextAtMs(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : this.#atMs[0]!;
  }

  push(atMs: number, value: number): void {
    let hole = this.#size++;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (this.#atMs[parent]! <= atMs) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#atMs[hole] = atMs;
    this.#values[hole] = value;
  }

  /** Of a heap that is not empty. */
  pop(): number {
    const value = this.#values[0]!;
    const last = --this.#size;
    const atMs = this.#atMs[last]!;
    const moved = this.#values[last]!;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= last) break;
      if (child + 1 < last && this.#atMs[child + 1]! < this.#atMs[child]!) child++;
      if (this.#atMs[child]! >= atMs) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#atMs[hole] = atMs;
    this.#values[hole] = moved;
    return value;
  }

  #move(from: number, to: number): void {
    this.#atMs[to] = this.#atMs[from]!;
    this.#values[to] = this.#values[from]!;
  }
}
