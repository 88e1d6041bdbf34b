/**
 * Words as they are compared: lower case, without accents and punctuation. Recognisers differ in all
 * three, so word lists are kept in this form and every text goes through here first.
 */

const APOSTROPHES = /['’ʼ`]/g;
const MARKS = /\p{M}+/gu;
const PLAIN = /^[a-z0-9]+$/;
const NOT_WORD = /[^\p{L}\p{N}]+/gu;

/** "Écoutez, it's O'Neil!" becomes ["ecoutez", "its", "oneil"]; "uh-huh" becomes ["uh", "huh"]. */
export function comparableWords(text: string): string[] {
  const plain = text.normalize("NFD").replace(MARKS, "").replace(APOSTROPHES, "").toLowerCase();
  return plain.split(NOT_WORD).filter((word) => word !== "");
}

/** One word of a text as it is compared, "" when it is punctuation alone. */
export function comparableWord(word: string): string {
  // Most words are plain already, and lists of them are compared while a call goes on.
  const lower = word.toLowerCase();
  if (PLAIN.test(lower)) return lower;
  return comparableWords(word).join("");
}
