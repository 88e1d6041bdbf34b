import t from "tap";
import { seededRandom } from "#runtime/actor";
import { MAX_WORD_SYMBOLS, checkSymbol, decodeSymbols, encodeText, normalizeWords } from "./alphabet.js";
import { LetterCase, PREAMBLE_COUNT, SYMBOL_COUNT, preambleCase, preambleLength } from "./signal.js";

function decode(text: string): string[] {
  return encodeText(text).map(({ preamble, symbols }) =>
    decodeSymbols(preamble, symbols, preambleLength(preamble) === 0 ? 1 : 0, symbols.length - 1),
  );
}

void t.test("words are what stands between whitespace, otherwise as written", async (t) => {
  t.same(normalizeWords("  Hello,\tworld!\n\u00a0It's\u0007 7:30. "), ["Hello,", "world!", "It's", "7:30."]);
  t.same(normalizeWords(""), []);
  t.same(normalizeWords(" \r\n\u0000 "), []);
});

void t.test("an accent typed as a separate mark arrives as one character", async (t) => {
  t.same(normalizeWords("de\u0301ja\u0300"), ["déjà"]);
});

void t.test(
  "every code point but whitespace and controls comes back, or as the replacement character",
  async (t) => {
    const random = seededRandom(7);
    const lost: string[] = [];
    for (let i = 0; i < 5_000; i++) {
      // Half of them where people write, half anywhere.
      const codePoint = Math.floor(random.next() * (i % 2 === 0 ? 0x3000 : 0x11_0000));
      const word = `x${String.fromCodePoint(codePoint)}y`;
      const expected = normalizeWords(word);
      const survives = codePoint < 0x3_0000 && !(codePoint >= 0xd800 && codePoint < 0xe000);
      const kept = !survives || expected.length !== 1 || expected[0] === word.normalize("NFC");
      if (!kept || decode(word).join() !== expected.join()) lost.push(codePoint.toString(16));
    }
    t.same(lost, [], "seed 7");
  },
);

void t.test("letters keep their case, and the usual cases cost no extra symbol", async (t) => {
  for (const word of ["table", "Table", "TABLE", "I", "I'm", "o'brien"]) {
    t.same(decode(word), [word]);
    t.equal(encodeText(word)[0]!.symbols.length, word.length + 1, word);
  }
  for (const word of ["iPhone", "McDonald", "O'Brien", "eBAY", "aBcDeFgH", "ßA"])
    t.same(decode(word), [word]);
});

void t.test("a word longer than the bound is spoken as several, none torn inside a character", async (t) => {
  const word = `Ab${"é".repeat(30)}${"x".repeat(100)}`;
  const parts = normalizeWords(word);
  t.ok(parts.length > 2);
  t.equal(parts.join(""), word);
  t.same(decode(word), parts);
  for (const { symbols } of encodeText(word)) t.ok(symbols.length <= MAX_WORD_SYMBOLS + 2);
});

void t.test("a preamble says the case and the length, or that the length follows", async (t) => {
  for (let length = 1; length <= MAX_WORD_SYMBOLS; length++) {
    const cases = { [LetterCase.Lower]: "a", [LetterCase.Capitalised]: "A", [LetterCase.Upper]: "A" };
    for (const [letterCase, first] of Object.entries(cases)) {
      if (length === 1 && Number(letterCase) === LetterCase.Upper) continue; // a single capital is Capitalised
      const rest = Number(letterCase) === LetterCase.Upper ? "B" : "b";
      const [encoded] = encodeText(first + rest.repeat(length - 1));
      t.equal(preambleCase(encoded!.preamble), Number(letterCase));
      t.ok(encoded!.preamble < PREAMBLE_COUNT);
      const said = preambleLength(encoded!.preamble);
      t.equal(encoded!.symbols.length, said === 0 ? length + 2 : length + 1);
      if (said > 0) t.equal(said, length);
    }
  }
});

void t.test("the check shows one wrong symbol, swapped neighbours or a wrong preamble", async (t) => {
  const random = seededRandom(11);
  for (let round = 0; round < 200; round++) {
    const symbols = Array.from({ length: 1 + Math.floor(random.next() * 20) }, () =>
      Math.floor(random.next() * SYMBOL_COUNT),
    );
    const preamble = Math.floor(random.next() * PREAMBLE_COUNT);
    const check = checkSymbol(preamble, symbols, symbols.length);
    const passed: string[] = [];
    const passes = (kind: string, code: number, damaged: readonly number[]): void => {
      if (checkSymbol(code, damaged, damaged.length) === check) passed.push(kind);
    };
    for (let i = 0; i < symbols.length; i++) {
      const changed = symbols.with(i, (symbols[i]! + 1 + Math.floor(random.next() * 60)) % SYMBOL_COUNT);
      passes("changed", preamble, changed);
      const next = symbols[i + 1];
      if (next === undefined || next === symbols[i]) continue;
      passes("swapped", preamble, symbols.with(i, next).with(i + 1, symbols[i]!));
    }
    passes("preamble", (preamble + 1) % PREAMBLE_COUNT, symbols);
    t.same(passed, [], `seed 11, round ${round}`);
  }
});

void t.test("any symbols at all decode to a word without whitespace", async (t) => {
  const random = seededRandom(13);
  for (let round = 0; round < 2_000; round++) {
    const symbols = Uint8Array.from({ length: 12 }, () => Math.floor(random.next() * 64));
    const word = decodeSymbols(Math.floor(random.next() * PREAMBLE_COUNT), symbols, 0, symbols.length);
    if (/\s/u.test(word) || word === "") t.fail(`seed 13, round ${round}: ${JSON.stringify(word)}`);
  }
});
