import t from "tap";
import { SPEECH_LANGUAGES, matchQuickReply, phrasesFor, quickReplyTexts } from "./index.js";
import { comparableWords } from "./words.js";
import { quickReplyPatterns, quickReplyTemplates } from "./quick-reply-data.js";

const WHOLE_UTTERANCES = {
  en: {
    greeting: ["Hello?", "hi", "Good morning!", "Hello, is anyone there?", "um, hello", "Helo"],
    thanks: ["Thanks.", "okay, thank you so much", "Great, thanks a lot!", "thnaks"],
    farewell: ["Bye.", "Okay, thanks, bye bye", "No, that's all, thank you.", "goodbye, have a nice day"],
    howAreYou: ["How are you?", "Hi, how are you doing today?", "Hey, how's it going?"],
  },
  es: {
    greeting: ["¿Hola?", "Buenos días", "¿Hay alguien ahí?"],
    thanks: ["Gracias", "vale, muchas gracias"],
    farewell: ["Adiós", "Gracias, hasta luego", "No, nada más, gracias"],
    howAreYou: ["¿Cómo está?", "Hola, ¿qué tal?"],
  },
  fr: {
    greeting: ["Allô ?", "Bonjour", "Bonjour madame"],
    thanks: ["Merci", "D'accord, merci beaucoup"],
    farewell: ["Au revoir", "Merci, bonne journée !", "Non, c'est tout, merci"],
    howAreYou: ["Comment ça va ?", "Bonjour, comment allez-vous ?"],
  },
};

void t.test("an utterance that is nothing but a greeting, thanks or a farewell needs no model", async (t) => {
  for (const language of SPEECH_LANGUAGES) {
    for (const [kind, texts] of Object.entries(WHOLE_UTTERANCES[language])) {
      for (const text of texts) t.equal(matchQuickReply(text, language), kind, text);
    }
  }
});

void t.test("an utterance with anything else in it goes to the model", async (t) => {
  for (const text of [
    "Thanks, and what about Tuesday?",
    "Hello, I need an appointment",
    "no thanks",
    "yes, thank you",
    "yes",
    "okay",
    "how are your prices",
    "by",
    "",
    "hello hello hello hello hello hello hello hello hello",
  ]) {
    t.equal(matchQuickReply(text, "en"), null, text);
  }
});

void t.test("thanks after a question of ours may be its answer", async (t) => {
  t.equal(matchQuickReply("okay, thanks", "en"), "thanks");
  t.equal(matchQuickReply("okay, thanks", "en", true), null);
  t.equal(matchQuickReply("ça va", "fr", true), null);
  t.equal(matchQuickReply("no, that's all", "en", true), "farewell");
});

void t.test("the replies are filled in, and no placeholder is left in any of them", async (t) => {
  const values = { agentName: "Ada", businessName: "Bright Smiles" };
  t.match(quickReplyTexts("greeting", "en", values), [/./, "Hi, this is Ada. How can I help?"]);
  for (const language of SPEECH_LANGUAGES) {
    for (const kind of ["greeting", "thanks", "farewell", "howAreYou"] as const) {
      const texts = quickReplyTexts(kind, language, values);
      t.ok(
        texts.length > 0 && texts.every((text) => text !== "" && !/[{}]/.test(text)),
        `${language} ${kind}`,
      );
      t.equal(texts.length, quickReplyTemplates[language][kind].length);
    }
  }
});

void t.test("every phrase of the lists is in comparable form, or it could never match", async (t) => {
  for (const language of SPEECH_LANGUAGES) {
    const { kinds, fillers, answers } = quickReplyPatterns[language];
    for (const phrase of [...Object.values(kinds).flat(), ...fillers, ...answers]) {
      if (comparableWords(phrase).join(" ") !== phrase) t.fail(`${language}: "${phrase}"`);
    }
    for (const [kind, phrases] of Object.entries(kinds)) {
      for (const phrase of phrases) t.equal(matchQuickReply(phrase, language), kind, phrase);
    }
  }
});

void t.test("each language has every phrase, said in full sentences", async (t) => {
  for (const language of SPEECH_LANGUAGES) {
    const phrases = phrasesFor(language);
    const texts = [
      ...phrases.silencePrompts,
      ...phrases.fillers,
      ...phrases.didNotCatch,
      ...Object.values(phrases.apology),
      phrases.goodbye,
      phrases.silenceGoodbye,
      phrases.callTooLong,
    ];
    t.ok(phrases.silencePrompts.length >= 2);
    for (const text of texts) t.match(text, /[.!?]$/);
  }
  t.equal(phrasesFor("pt-BR"), phrasesFor("en"));
  t.equal(phrasesFor("fr-CA"), phrasesFor("fr"));
});
