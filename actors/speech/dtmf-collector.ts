/**
 * Digits pressed on the phone, put together into one answer.
 *
 * Pure: `push` each digit, and ask `poll` at `dueAtMs`. An answer is complete at the terminator, at the
 * expected length, at the longest length, or when the caller has stopped pressing.
 */

export interface DtmfCollectorOptions {
  /** Silence between keys that ends the answer: people look up a number between its groups. @default 2500 */
  readonly interDigitMs?: number;
  /** Ends the answer at once and is not part of it; null for none. @default "#" */
  readonly terminator?: string | null;
  /** Ends the answer at this many digits. @default 32: longer than a card number with its expiry */
  readonly maxDigits?: number;
}

const DIGIT = /^[0-9*#A-D]$/;

export class DtmfCollector {
  readonly #interDigitMs: number;
  readonly #terminator: string | null;
  readonly #maxDigits: number;
  #digits = "";
  #lastAtMs = 0;

  constructor(options: DtmfCollectorOptions = {}) {
    this.#interDigitMs = options.interDigitMs ?? 2_500;
    this.#terminator = options.terminator === undefined ? "#" : options.terminator;
    this.#maxDigits = options.maxDigits ?? 32;
  }

  /** What was pressed and is not yet handed out. */
  get digits(): string {
    return this.#digits;
  }

  /** When `poll` will have an answer if nothing more is pressed; null while nothing is collected. */
  get dueAtMs(): number | null {
    return this.#digits === "" ? null : this.#lastAtMs + this.#interDigitMs;
  }

  /**
   * A key was pressed. The answer when this completed it, else null; a terminator alone gives "".
   * Anything that is not a key of a phone is ignored.
   */
  push(digit: string, atMs: number): string | null {
    if (!DIGIT.test(digit)) return null;
    if (digit === this.#terminator) return this.#take();
    this.#digits += digit;
    this.#lastAtMs = atMs;
    return this.#digits.length >= this.#maxDigits ? this.#take() : null;
  }

  /** The answer when the caller has stopped pressing, else null. */
  poll(nowMs: number): string | null {
    const dueAtMs = this.dueAtMs;
    return dueAtMs !== null && nowMs >= dueAtMs ? this.#take() : null;
  }

  /** Forgets what was pressed: the caller spoke instead. */
  clear(): void {
    this.#digits = "";
  }

  #take(): string {
    const digits = this.#digits;
    this.#digits = "";
    return digits;
  }
}
