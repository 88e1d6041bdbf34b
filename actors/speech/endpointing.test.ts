import t from "tap";
import { seededRandom } from "#runtime/actor";
import { Endpointing, type EndpointingInput, SPEECH_LANGUAGES, expectedDigits } from "./index.js";

const endpointing = new Endpointing();
const NOW_MS = 10_000;

function input(text: string, silenceMs: number, more: Partial<EndpointingInput> = {}): EndpointingInput {
  return {
    nowMs: NOW_MS,
    text,
    isFinal: true,
    sttEndOfSpeech: true,
    silenceMs,
    transcriptAtMs: NOW_MS - silenceMs,
    language: "en",
    ...more,
  };
}

/** The silence at which the turn is over, found by asking at the instants named, with a final that covers it. */
function commitSilenceMs(text: string, more: Partial<EndpointingInput> = {}): number {
  let silenceMs = 0;
  for (let asked = 0; asked < 10; asked += 1) {
    const decision = endpointing.decide(input(text, silenceMs, more));
    if (decision.kind === "commit") return silenceMs;
    silenceMs += decision.recheckAtMs - NOW_MS;
  }
  return Number.POSITIVE_INFINITY;
}

void t.test("a whole sentence is over after 200 ms, one without its mark after 250", async (t) => {
  t.equal(commitSilenceMs("Do you have a table for two?"), 200);
  t.equal(commitSilenceMs("do you have a table for two"), 250);
  t.equal(commitSilenceMs("do you have a table for two", { sttEndOfSpeech: false }), 400);
});

void t.test("a caller who ends on a connector, a filler or a comma is waited for", async (t) => {
  const unfinished = {
    en: [
      "I would like to book for",
      "A table and.",
      "Yes, um",
      "On Tuesday,",
      "Let me check.",
      "My address is the",
      "I would",
      "it is",
      "Well...",
    ],
    es: ["Quisiera una mesa para", "El martes y", "Sí, pero", "eh", "un momento", "Llamo por el"],
    fr: [
      "Je voudrais une table pour",
      "Mardi et",
      "Oui mais",
      "euh",
      "un instant",
      "C'est pour le",
      "à côté de l'",
    ],
  };
  for (const language of SPEECH_LANGUAGES) {
    for (const text of unfinished[language]) t.equal(commitSilenceMs(text, { language }), 1_100, text);
  }
});

void t.test("what only looks unfinished is not waited for", async (t) => {
  const finished = {
    en: [
      "Who is it for?",
      "Yes, it is.",
      "Yes I would",
      "I'd like that.",
      "I think so.",
      "Yes",
      "That",
      "No, we're not",
    ],
    es: ["¿Para quién es?", "Sí", "Sí, quiero.", "Es para mí", "Claro que sí", "¿Dónde?"],
    fr: ["C'est pour quand ?", "Oui", "Oui, je veux.", "D'accord", "C'est là", "Pourquoi ?"],
  };
  for (const language of SPEECH_LANGUAGES) {
    for (const text of finished[language]) {
      t.ok(commitSilenceMs(text, { language }) <= 250, `${text}: ${commitSilenceMs(text, { language })}`);
    }
  }
});

void t.test("somebody who reads out digits is waited for until the number is whole", async (t) => {
  const asked = { expectedDigits: expectedDigits("Could I have your phone number, please?", "en") };
  t.equal(asked.expectedDigits, 10);
  for (const text of ["202", "it's 202 555", "two oh two, five five", "202-555-01", "2 0 2 triple five"]) {
    t.equal(commitSilenceMs(text, asked), 1_500, text);
  }
  for (const text of ["202-555-0101", "(202) 555 0101", "it's two oh two triple five oh one oh one."]) {
    t.equal(commitSilenceMs(text, asked), 200, text);
  }
  t.equal(commitSilenceMs("I'd rather not give it.", asked), 200);
  t.equal(commitSilenceMs("my number is 202 555"), 1_200, "not asked for: a little less long");
  t.equal(commitSilenceMs("my number is 202 555 0101"), 200, "a whole phone number, asked for or not");
});

void t.test("times, prices, years and single numbers are no dictation", async (t) => {
  for (const text of ["At 7:30.", "It was $12.50.", "Since 2019.", "A table for 4.", "For two."]) {
    t.equal(commitSilenceMs(text), 200, text);
  }
});

void t.test("digits in words are counted as each language reads them out", async (t) => {
  const spanish = { language: "es", expectedDigits: expectedDigits("¿Me da su número de teléfono?", "es") };
  t.equal(commitSilenceMs("seis doce treinta y cuatro", spanish), 1_500);
  t.equal(commitSilenceMs("seis cero cero, uno dos tres, cuatro cinco seis", spanish), 200);
  const french = { language: "fr", expectedDigits: expectedDigits("Votre numéro de téléphone ?", "fr") };
  t.equal(commitSilenceMs("zéro six douze", french), 1_500);
  t.equal(commitSilenceMs("zéro six, douze, trente-quatre, cinquante-six, soixante-dix-huit", french), 200);
});

void t.test("somebody who spells is waited for", async (t) => {
  t.equal(commitSilenceMs("It's S M I"), 1_200);
  t.equal(commitSilenceMs("my name is Smith, S, M, I, T"), 1_200);
  t.equal(commitSilenceMs("My wife and I."), 200);
  t.equal(commitSilenceMs("I want option B."), 200);
});

void t.test(
  "the reply is begun on the interim that comes 100 ms after the last word, and not before",
  async (t) => {
    // "… for two" ended at 5000; the interim up to "for" had come at 4980, the one with "two" comes at 5100.
    const before = input("a table for my", 80, { isFinal: false, transcriptAtMs: NOW_MS - 100 });
    t.equal(endpointing.decide(before).kind, "wait", "unfinished");
    const stale = input("a table", 80, { isFinal: false, transcriptAtMs: NOW_MS - 100 });
    t.equal(endpointing.decide(stale).kind, "wait", "does not cover the last word");
    const whole = input("a table for two", 100, { isFinal: false, transcriptAtMs: NOW_MS });
    t.equal(endpointing.decide(whole).kind, "eager");
    t.equal(endpointing.decide({ ...whole, silenceMs: 40 }).kind, "wait", "a closure inside a word");
  },
);

void t.test("word times tell better than arrival whether the words cover the speech", async (t) => {
  const late = { isFinal: true, sttEndOfSpeech: false, transcriptAtMs: NOW_MS - 10 };
  const behind = input("I'd like a table.", 250, { ...late, transcriptEndMs: 4_000, speechEndMs: 5_000 });
  t.equal(endpointing.decide(behind).kind, "wait", "a second of speech has no words yet");
  const covering = input("I'd like a table.", 250, { ...late, transcriptEndMs: 4_900, speechEndMs: 5_000 });
  t.same(endpointing.decide(covering), { kind: "commit", isCovered: true });
  const settled = { ...behind, silenceMs: 650, transcriptAtMs: NOW_MS - 900 };
  const late600 = endpointing.decide(settled);
  t.same(late600, { kind: "commit", isCovered: false }, "600 ms later nothing more is expected");
  t.equal(endpointing.decide({ ...settled, silenceMs: 550 }).kind, "wait");
});

void t.test(
  "a final of the sentence before does not end the turn while the last words are on their way",
  async (t) => {
    const early = input("I'd like a table.", 210, { transcriptAtMs: NOW_MS - 1_200 });
    t.equal(endpointing.decide(early).kind, "wait");
  },
);

void t.test(
  "a burst after a stall is silence of the caller's, and no time that the recogniser had",
  async (t) => {
    const burst = {
      sttTimeMs: 0,
      transcriptEndMs: 4_000,
      speechEndMs: 5_000,
      transcriptAtMs: NOW_MS - 1_500,
    };
    const interim = { isFinal: false, sttEndOfSpeech: false };
    const cut = input("Please say bravo", 1_200, { ...burst, ...interim });
    t.equal(endpointing.decide(cut).kind, "wait", "words are missing, and could not have come");
    t.equal(endpointing.decide({ ...cut, isFinal: true, sttEndOfSpeech: true }).kind, "wait", "of before");
    t.equal(endpointing.decide({ ...cut, silenceMs: 1_850, sttTimeMs: 650 }).kind, "commit");
    t.equal(endpointing.decide(input("", 1_600, { ...burst, transcriptAtMs: null })).kind, "wait");
    const whole = { ...burst, transcriptEndMs: 4_950, sttEndOfSpeech: true };
    t.equal(endpointing.decide(input("Please say bravo.", 300, whole)).kind, "commit", "nothing is missing");
  },
);

void t.test("words that never become final are taken after half a second", async (t) => {
  t.equal(commitSilenceMs("Do you have a table for two?", { isFinal: false }), 500);
});

void t.test("sound without words is dropped after a second and a half", async (t) => {
  t.equal(commitSilenceMs("", { transcriptAtMs: null }), 1_500);
  t.equal(commitSilenceMs("  "), 1_500);
});

void t.test(
  "a recogniser's own guess starts the reply without silence, unless the words go on",
  async (t) => {
    const guess = { sttEagerEndOfTurn: true, isFinal: false, sttEndOfSpeech: false };
    t.equal(endpointing.decide(input("a table for two", 0, guess)).kind, "eager");
    t.equal(endpointing.decide(input("a table for", 0, guess)).kind, "wait");
  },
);

void t.test("an option out of order is refused at construction", async (t) => {
  t.throws(() => new Endpointing({ eagerSilenceMs: 300 }), /eager must come before commit/);
  t.throws(() => new Endpointing({ unfinishedSilenceMs: 3_000 }), /unfinishedSilenceMs/);
});

const WORDS =
  "I want to book a table for two and the um yes 202 555 John S M at 7:30 tomorrow. please, no? ¿sí? et pour".split(
    " ",
  );

void t.test(
  "whatever is said and whenever it arrives: no wait beyond the maximum, no busy loop, no way back",
  async (t) => {
    for (let seed = 1; seed <= 2_000; seed += 1) {
      const random = seededRandom(seed);
      const below = (bound: number): number => Math.floor(random.next() * bound);
      const text = Array.from({ length: below(9) }, () => WORDS[below(WORDS.length)]).join(" ");
      const speechEndAtMs = 5_000 + below(500);
      const fixed = {
        text,
        isFinal: below(2) === 0,
        sttEndOfSpeech: below(2) === 0,
        transcriptAtMs: below(4) === 0 ? null : speechEndAtMs - 300 + below(600),
        transcriptEndMs: below(2) === 0 ? null : below(6_000),
        speechEndMs: below(2) === 0 ? null : below(6_000),
        language: SPEECH_LANGUAGES[below(3)]!,
        expectedDigits: below(2) === 0 ? null : below(12),
      };
      const at = (nowMs: number) =>
        endpointing.decide({ ...fixed, nowMs, silenceMs: Math.max(0, nowMs - speechEndAtMs) });
      let nowMs = speechEndAtMs - 100;
      let asked = 0;
      for (; asked < 12; asked += 1) {
        const decision = at(nowMs);
        if (decision.kind === "commit") break;
        if (!(decision.recheckAtMs > nowMs)) t.fail(`seed ${seed}: asked to come back at once`);
        nowMs = decision.recheckAtMs;
      }
      const silenceMs = nowMs - speechEndAtMs;
      if (asked >= 12 || silenceMs > endpointing.options.maxSilenceMs)
        t.fail(`seed ${seed}: ${silenceMs} ms`);
      if (at(nowMs + below(2_000)).kind !== "commit") t.fail(`seed ${seed}: a commit was taken back`);
    }
    t.pass("2000 seeds");
  },
);
