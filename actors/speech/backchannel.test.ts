import t from "tap";
import { isBackchannel } from "./index.js";

const BACKCHANNELS = {
  en: [
    "uh-huh",
    "Mm.",
    "mm-hmm",
    "Yeah.",
    "yeah, yeah",
    "Okay",
    "Right, right.",
    "I see.",
    "oh okay",
    "All right",
    "Okay, got it.",
    "That's right!",
  ],
  es: ["ajá", "Sí.", "sí, sí", "claro", "Vale, vale", "Ya veo", "de acuerdo", "Claro que sí"],
  fr: ["mm", "Oui.", "oui oui", "d'accord", "Ah bon ?", "Je vois", "très bien", "C'est ça", "Bien sûr"],
};
const INTERRUPTIONS = {
  en: [
    "yeah but",
    "no",
    "No no.",
    "stop",
    "wait",
    "okay wait",
    "right, and on Tuesday?",
    "hello?",
    "I see a problem",
    "what",
    "",
  ],
  es: ["sí pero", "no", "espere", "pare", "vale, ¿y el martes?", "perdón", ""],
  fr: ["oui mais", "non", "attendez", "stop", "d'accord, et mardi ?", "pardon", ""],
};

void t.test("listening noises alone are no reason to stop", async (t) => {
  for (const [language, texts] of Object.entries(BACKCHANNELS)) {
    for (const text of texts) t.equal(isBackchannel(text, language), true, text);
  }
});

void t.test("one word that is none makes it an interruption", async (t) => {
  for (const [language, texts] of Object.entries(INTERRUPTIONS)) {
    for (const text of texts) t.equal(isBackchannel(text, language), false, text);
  }
});

void t.test("more than a few of them is somebody who wants to speak", async (t) => {
  t.equal(isBackchannel("yeah ".repeat(6), "en"), true);
  t.equal(isBackchannel("yeah ".repeat(7), "en"), false);
});

void t.test("a language's variants share its list, one we do not know has the English one", async (t) => {
  t.equal(isBackchannel("claro", "es-MX"), true);
  t.equal(isBackchannel("claro", "en-US"), false);
  t.equal(isBackchannel("yeah", "de"), true);
});
