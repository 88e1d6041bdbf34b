/**
 * Words that tell that a speaker is not done: nobody ends a turn on "and", "the" or "um". Kept with their
 * accents ("si" goes on, "sí" is an answer) and apostrophes ("I'd", "d'").
 */
import type { SpeechLanguage } from "./language.js";

interface TurnWords {
  /** Fillers and connectors: nobody stops here, whatever mark the recogniser closes them with. */
  readonly connectors: ReadonlySet<string>;
  /** Of these, the ones that may end a question: "who is it for?" */
  readonly prepositions: ReadonlySet<string>;
  /** Words that mostly go on, but may close a sentence: "yes, it is", "I'd like that". A closing mark is believed. */
  readonly leanings: ReadonlySet<string>;
  /** Beginnings of an answer, after which a leaning closes it: "yes I would". */
  readonly answers: ReadonlySet<string>;
  /** Asking for time: the last words, joined by a space. */
  readonly holdPhrases: readonly string[];
}

const words = (list: string): ReadonlySet<string> => new Set(list.trim().split(/\s+/));

export const turnWords: Readonly<Record<SpeechLanguage, TurnWords>> = {
  en: {
    connectors: words(`
      um uh er erm uhm hmm and but or because if dot dash hyphen underscore plus
      a an the my your our their its every unless whether although than very
    `),
    prepositions: words(`
      to of for with from at in by about into between without during until since as like via per
    `),
    leanings: words(`
      so i i'm i'd i'll i've we we're we'd we'll you're they're he's she's it's there's that's
      is are was were am can could would will should may might must have had want need wanna gonna
      his her that which who what when where while let's
    `),
    answers: words("yes yeah yep no nope sure okay ok"),
    holdPhrases: [
      "let me see",
      "let me check",
      "let me think",
      "let me look",
      "hold on",
      "hang on",
      "one moment",
      "one second",
      "just a moment",
      "just a second",
      "give me a second",
      "you know",
      "i mean",
    ],
  },
  es: {
    connectors: words(`
      eh em mmm y e o u pero porque que punto arroba guion
      el la los las un una unos unas mi tu su mis tus sus nuestro nuestra cada muy aunque
    `),
    prepositions: words("a al de del en con para por sin sobre desde hasta entre hacia según"),
    leanings: words(`
      yo me te se soy es son estoy está quiero quisiera querría necesito puedo podría tengo voy más
      si cuando donde como mientras quien cual este esto pues lo
    `),
    answers: words("sí no claro vale bueno"),
    holdPhrases: ["a ver", "un momento", "un segundo", "espere", "déjeme ver", "o sea", "es decir"],
  },
  fr: {
    connectors: words(`
      euh heu hum ben bah et ou mais car parce que qu' point arobase tiret
      le la les l' un une des du d' mon ma mes ton ta tes son sa ses notre nos votre vos leur cet cette ces
      je j' il très lorsque
    `),
    prepositions: words(`
      de à au aux en dans avec pour sans sur sous chez vers entre depuis jusqu'à jusque par
    `),
    leanings: words(`
      ce on c'est c' j'ai est suis sont ai voudrais veux aimerais peux pourrais dois y plus
      si quand où qui dont puis donc comme
    `),
    answers: words("oui ouais non si bien d'accord"),
    holdPhrases: ["un instant", "un moment", "une seconde", "attendez", "voyons voir", "c'est-à-dire"],
  },
};

const WORD = /[\p{L}\p{N}]+(?:['-][\p{L}\p{N}]+)*'?/gu;

/** Words in lower case with accents and apostrophes kept: the form of the lists above. */
export function spokenWords(text: string): string[] {
  return text.normalize("NFC").replaceAll("’", "'").toLowerCase().match(WORD) ?? [];
}
