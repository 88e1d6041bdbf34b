import t from "tap";
import { speechLanguage } from "./index.js";
import { comparableWord, comparableWords } from "./words.js";

void t.test("words are compared without case, accents, apostrophes and punctuation", async (t) => {
  t.same(comparableWords("Écoutez, it’s O'Neil!"), ["ecoutez", "its", "oneil"]);
  t.same(comparableWords("Uh-huh."), ["uh", "huh"]);
  t.same(comparableWords(" … — "), []);
  t.equal(comparableWord("Tuesday,"), "tuesday");
  t.equal(comparableWord("TUESDAY"), "tuesday");
  t.equal(comparableWord("—"), "");
  t.equal(comparableWord("e\u0301te\u0301"), comparableWord("été"), "composed or not");
});

void t.test("a language tag is known by its first part, in any case", async (t) => {
  t.equal(speechLanguage("es-MX"), "es");
  t.equal(speechLanguage("FR"), "fr");
  t.equal(speechLanguage("nl"), "en");
  t.equal(speechLanguage(""), "en");
});
