/**
 * The phrases of the quick replies and what to answer, by language. Phrases stand in comparable form
 * (lower case, no accents, no punctuation); templates are read aloud as they are.
 */
import type { SpeechLanguage } from "./language.js";

export type QuickReply = "greeting" | "thanks" | "farewell" | "howAreYou";

export interface QuickReplyPatterns {
  readonly kinds: Readonly<Record<QuickReply, readonly string[]>>;
  /** May stand around any of them. */
  readonly fillers: readonly string[];
  /** May stand around a farewell only: "no, that's all" ends the call, "no, thanks" answers a question. */
  readonly answers: readonly string[];
}

const split = (list: string): readonly string[] => list.split("|").map((phrase) => phrase.trim());

export const quickReplyPatterns: Readonly<Record<SpeechLanguage, QuickReplyPatterns>> = {
  en: {
    kinds: {
      greeting: split(
        "hello|hi|hey|hiya|hello there|hi there|hey there|good morning|good afternoon|good evening|is anyone there|is anybody there|are you there|can you hear me",
      ),
      thanks: split(
        "thanks|thank you|thanks a lot|thank you very much|thank you so much|thanks very much|many thanks|cheers|much appreciated|i appreciate it",
      ),
      farewell: split(
        "bye|bye bye|goodbye|good bye|see you|see you then|see you later|have a nice day|have a good day|have a great day|have a good one|talk to you later|thats all|that is all|that will be all|thatll be all|take care",
      ),
      howAreYou: split(
        "how are you|how are you doing|hows it going|how is it going|how are you today|how do you do",
      ),
    },
    fillers: split("okay|ok|oh|ah|um|uh|well|so|great|perfect|alright|all right|now|then|today"),
    answers: split("yes|yeah|yep|no|nope|sure"),
  },
  es: {
    kinds: {
      greeting: split(
        "hola|buenas|buenos dias|buenas tardes|buenas noches|alo|oiga|hay alguien|hay alguien ahi|me oye|me escucha",
      ),
      thanks: split("gracias|muchas gracias|muchisimas gracias|mil gracias|se lo agradezco|te lo agradezco"),
      farewell: split(
        "adios|hasta luego|hasta pronto|hasta manana|chao|chau|nos vemos|que tenga buen dia|que tenga un buen dia|eso es todo|nada mas|eso seria todo",
      ),
      howAreYou: split("como esta|como estas|que tal|como le va|como te va|como esta usted"),
    },
    fillers: split("vale|bueno|ok|okay|ah|eh|pues|perfecto|genial|muy bien|usted"),
    answers: split("si|no|claro"),
  },
  fr: {
    kinds: {
      greeting: split(
        "bonjour|bonsoir|salut|allo|allo bonjour|coucou|il y a quelquun|vous mentendez|vous etes la",
      ),
      thanks: split(
        "merci|merci beaucoup|merci bien|merci infiniment|mille mercis|je vous remercie|merci a vous",
      ),
      farewell: split(
        "au revoir|a bientot|a plus tard|a plus|a demain|bonne journee|bonne soiree|bonne fin de journee|ciao|cest tout|ce sera tout|adieu",
      ),
      howAreYou: split("ca va|comment ca va|comment allez vous|vous allez bien|comment vas tu|tu vas bien"),
    },
    fillers: split("ok|okay|daccord|ah|euh|eh bien|bon|ben|parfait|super|alors|madame|monsieur|tres bien"),
    answers: split("oui|non|ouais"),
  },
};

/** Placeholders: {agentName}, {businessName}. */
export const quickReplyTemplates: Readonly<
  Record<SpeechLanguage, Readonly<Record<QuickReply, readonly string[]>>>
> = {
  en: {
    greeting: ["Hello! How can I help you?", "Hi, this is {agentName}. How can I help?"],
    thanks: ["You're welcome! Is there anything else I can do for you?", "My pleasure. Anything else?"],
    farewell: ["Thank you for calling {businessName}. Goodbye!", "Goodbye, and have a great day!"],
    howAreYou: ["I'm doing well, thank you for asking! How can I help you?"],
  },
  es: {
    greeting: ["¡Hola! ¿En qué puedo ayudarle?", "Hola, soy {agentName}. ¿En qué puedo ayudarle?"],
    thanks: ["¡De nada! ¿Puedo ayudarle en algo más?", "Con mucho gusto. ¿Algo más?"],
    farewell: ["Gracias por llamar a {businessName}. ¡Adiós!", "¡Hasta luego, que tenga un buen día!"],
    howAreYou: ["Muy bien, gracias por preguntar. ¿En qué puedo ayudarle?"],
  },
  fr: {
    greeting: ["Bonjour ! Comment puis-je vous aider ?", "Bonjour, ici {agentName}. Que puis-je pour vous ?"],
    thanks: ["Je vous en prie ! Puis-je faire autre chose pour vous ?", "Avec plaisir. Autre chose ?"],
    farewell: ["Merci d'avoir appelé {businessName}. Au revoir !", "Au revoir, et bonne journée !"],
    howAreYou: ["Je vais très bien, merci ! Comment puis-je vous aider ?"],
  },
};
