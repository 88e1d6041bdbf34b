/**
 * What the agent says when no model is asked: silence, trouble, waiting, the end. Fixed texts, so that
 * their audio can be made ahead and played when every provider is down.
 */
import { type SpeechLanguage, speechLanguage } from "./language.js";

export interface Phrases {
  /** One after the other while the caller says nothing; after the last comes `silenceGoodbye`. */
  readonly silencePrompts: readonly string[];
  readonly silenceGoodbye: string;
  readonly goodbye: string;
  /** The call has reached its longest length. */
  readonly callTooLong: string;
  readonly apology: {
    /** No provider of a kind answers: the call ends after it. */
    readonly providerDown: string;
    /** The shard that ran the call is gone: the call ends after it. */
    readonly shardLost: string;
  };
  /** No provider of a kind answers: the caller may leave a message. */
  readonly messageOffer: string;
  /** He has said nothing since. */
  readonly messagePrompt: string;
  /** The message is kept: the call ends after it. */
  readonly messageThanks: string;
  /** While a tool or the model is slow. */
  readonly fillers: readonly string[];
  /** The line was gone for a while, and is back. */
  readonly cutOff: string;
  /** After `cutOff`, when it was the caller's turn to speak. */
  readonly goOn: string;
  /** The caller spoke, but no words came out of it. */
  readonly didNotCatch: readonly string[];
}

const table: Readonly<Record<SpeechLanguage, Phrases>> = {
  en: {
    silencePrompts: ["Are you still there?", "I can't hear you. Is there anything I can help you with?"],
    silenceGoodbye: "I can't hear anything, so I'll hang up now. Please call again. Goodbye.",
    goodbye: "Thank you for calling. Goodbye!",
    callTooLong: "I'm sorry, we have reached the longest time for a call. Please call us again. Goodbye.",
    apology: {
      providerDown: "I'm sorry, we have a technical problem. Please call again in a few minutes. Goodbye.",
      shardLost: "I'm sorry, something went wrong on our side. Please call us again. Goodbye.",
    },
    messageOffer: "I'm sorry, we have a technical problem. Please leave a message with your name and number.",
    messagePrompt: "Please leave your message now.",
    messageThanks: "Thank you. Your message is kept, and somebody will call you back. Goodbye.",
    fillers: ["One moment, please.", "Let me check that for you.", "Just a second."],
    cutOff: "Sorry, we were cut off for a moment.",
    goOn: "Please go on.",
    didNotCatch: ["I'm sorry, I didn't catch that.", "Sorry, could you say that again?"],
  },
  es: {
    silencePrompts: ["¿Sigue ahí?", "No le oigo. ¿Puedo ayudarle en algo?"],
    silenceGoodbye: "No oigo nada, así que voy a colgar. Llámenos de nuevo, por favor. Adiós.",
    goodbye: "Gracias por llamar. ¡Adiós!",
    callTooLong:
      "Lo siento, hemos llegado a la duración máxima de la llamada. Llámenos de nuevo, por favor. Adiós.",
    apology: {
      providerDown:
        "Lo siento, tenemos un problema técnico. Llame de nuevo en unos minutos, por favor. Adiós.",
      shardLost: "Lo siento, algo ha fallado por nuestra parte. Llámenos de nuevo, por favor. Adiós.",
    },
    messageOffer:
      "Lo siento, tenemos un problema técnico. Deje un mensaje con su nombre y su número, por favor.",
    messagePrompt: "Deje su mensaje ahora, por favor.",
    messageThanks: "Gracias. Su mensaje está guardado y le llamaremos. Adiós.",
    fillers: ["Un momento, por favor.", "Déjeme comprobarlo.", "Un segundo."],
    cutOff: "Perdone, se ha cortado un momento.",
    goOn: "Siga, por favor.",
    didNotCatch: ["Perdone, no le he entendido.", "Disculpe, ¿puede repetirlo?"],
  },
  fr: {
    silencePrompts: ["Vous êtes toujours là ?", "Je ne vous entends pas. Puis-je vous aider ?"],
    silenceGoodbye: "Je n'entends rien, je vais donc raccrocher. N'hésitez pas à rappeler. Au revoir.",
    goodbye: "Merci de votre appel. Au revoir !",
    callTooLong:
      "Je suis désolé, nous avons atteint la durée maximale d'un appel. Rappelez-nous, s'il vous plaît. Au revoir.",
    apology: {
      providerDown:
        "Je suis désolé, nous avons un problème technique. Rappelez dans quelques minutes, s'il vous plaît. Au revoir.",
      shardLost:
        "Je suis désolé, un problème est survenu de notre côté. Rappelez-nous, s'il vous plaît. Au revoir.",
    },
    messageOffer:
      "Je suis désolé, nous avons un problème technique. Laissez un message avec votre nom et votre numéro, s'il vous plaît.",
    messagePrompt: "Laissez votre message maintenant, s'il vous plaît.",
    messageThanks: "Merci. Votre message est conservé et nous vous rappellerons. Au revoir.",
    fillers: ["Un instant, s'il vous plaît.", "Je vérifie cela pour vous.", "Une seconde."],
    cutOff: "Excusez-moi, nous avons été coupés un instant.",
    goOn: "Je vous écoute.",
    didNotCatch: ["Pardon, je n'ai pas compris.", "Excusez-moi, pouvez-vous répéter ?"],
  },
};

/** The phrases of a BCP-47 language; English when we have none of its own. */
export function phrasesFor(language: string): Phrases {
  return table[speechLanguage(language)];
}
