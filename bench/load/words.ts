/**
 * What each simulated caller says: words that nobody else says in the same run, so that hearing them back proves
 * whose call it was.
 */

/** Spelling words: easy to read in a report, all lower case, one tone-speech word each. */
const WORDS = (
  "alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec " +
  "romeo sierra tango uniform victor whiskey xray yankee zulu amber basil cedar dune ember fern grove hazel iris " +
  "jade kelp lotus maple nectar"
).split(" ");

/** Two words name a caller. */
export const CALLERS_MAX = WORDS.length ** 2;

/** The words a caller has in this turn: the first two are theirs alone, the others change with the turn. */
export function codeWords(callerIndex: number, turnIndex: number): string {
  const first = Math.floor(callerIndex / WORDS.length) % WORDS.length;
  const second = callerIndex % WORDS.length;
  const third = turnIndex % WORDS.length;
  const fourth = Math.floor(turnIndex / WORDS.length) % WORDS.length;
  return [first, second, third, fourth].map((index) => WORDS[index]!).join(" ");
}

/** The emulated model says what follows "please say". */
export function sentenceFor(words: string): string {
  return `Please say ${words}`;
}

/** Several seconds of reply, of the caller's own: what an interrupter has to interrupt. */
export function longWords(callerIndex: number, turnIndex: number): string {
  const words = codeWords(callerIndex, turnIndex);
  return `${words} ${LONG_TAIL}`;
}

const LONG_TAIL = "seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
