/** Where a clause ends, by its last word. */

/** The word closes a sentence, quotes and brackets included. */
export const SENTENCE_END = /[.!?…]["'”’»)\]]*$/u;
/** The word closes a part of a sentence. */
export const CLAUSE_END = /[,;:–—]["'”’»)\]]*$|^[-–—]$/u;

/** Whether a speaker may breathe after this word: the end of a sentence, or of a part of one. */
export function endsClause(word: string): boolean {
  return SENTENCE_END.test(word) || CLAUSE_END.test(word);
}
