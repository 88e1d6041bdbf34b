/**
 * What the emulated model says, as data: topics it knows the words for, and fixed lines, by language.
 * `{business}`, `{agent}` and `{1}` (what the pattern caught) are filled in. answer.ts applies them.
 */

export type RuleLanguage = "en" | "es" | "fr";

/** Something a caller may ask about; answered from a line of the system prompt (`Parking: …`). */
export interface Topic {
  readonly name: string;
  /** Names a prompt may give the fact, lower case, the likeliest first. */
  readonly facts: readonly string[];
  readonly asked: RegExp;
  /** Around the fact when it does not read as a sentence. */
  readonly say: string;
  /** The fact never reads as a sentence, though it may end like one. */
  readonly framed?: boolean;
}

/** A fixed answer. */
export interface Line {
  readonly name: string;
  readonly asked: RegExp;
  readonly say: string;
  /** Called as well, when it is offered. */
  readonly tool?: string;
}

export interface LanguageRules {
  readonly topics: readonly Topic[];
  /** Tried in order, before the topics. */
  readonly linesFirst: readonly Line[];
  /** Tried in order, after the topics. */
  readonly lines: readonly Line[];
  readonly repeat: RegExp;
  readonly tellMeAbout: RegExp;
  readonly nothingSaidYet: string;
  readonly unknownFact: string;
  /** Nothing matched: off topic. */
  readonly fallback: string;
}

const english: LanguageRules = {
  repeat:
    /^(sorry|pardon|what|excuse me|huh|come again)( me)?[?!.]*$|say that again|repeat (that|it|please)|can you repeat|what did you say|(didn't|did not|couldn't) (hear|catch|get) (that|you)|^sorry what/i,
  tellMeAbout: /\btell me (more |a bit |something |all |everything )?about\b|\btell me more\b/i,
  nothingSaidYet: "I said: how can I help you?",
  unknownFact: "I am sorry, I do not know that. Shall I take a message?",
  fallback: "I am sorry, I can only help with questions about {business}. What would you like to know?",
  linesFirst: [
    { name: "echo", asked: /\b(?:repeat after me|please say)[:,]?\s+(.+)$/i, say: "{1}" },
    {
      name: "goodbye",
      asked:
        /\b(good ?bye|bye|have a (nice|good|great) (day|evening|one)|that('s| is| was) (all|everything|it)|nothing else|hang up|end the call)\b|^no,? (thank you|thanks)/i,
      say: "Thank you for calling {business}. Goodbye!",
      tool: "end_call",
    },
    {
      name: "person",
      asked:
        /\b(are you (a |an )?(robot|human|ai|machine|real|computer|person)|am i (talking|speaking) to a)\b/i,
      say: "I am {agent}, an AI assistant for {business}. How can I help you?",
    },
    {
      name: "name",
      asked: /\b(what('s| is) your name|who are you|who is this|who am i (talking|speaking) (to|with))\b/i,
      say: "My name is {agent}, I answer the phone for {business}.",
    },
    {
      name: "abilities",
      asked: /\bwhat can you (do|help)|\bhow can you help|\bwhat do you do\b/i,
      say: "I can tell you our opening hours, where to park, our prices and where we are. What would you like to know?",
    },
    {
      name: "injection",
      asked: /\b(ignore (all |your )?(previous |prior )?instructions|system prompt|your instructions)\b/i,
      say: "I am sorry, I cannot do that. Is there anything about {business} that I can help with?",
    },
  ],
  topics: [
    {
      name: "hours",
      facts: ["opening hours", "hours", "business hours", "open"],
      asked: /\b(hours|open(ed|ing)?|close[ds]?|closing|what time)\b/i,
      say: "We are open {fact}.",
      framed: true,
    },
    {
      name: "parking",
      facts: ["parking"],
      asked: /\bpark(ing)?\b|\bcar\b|\bgarage\b/i,
      say: "About parking: {fact}.",
    },
    {
      name: "prices",
      facts: ["prices", "price", "price list", "cost"],
      asked: /\b(price|prices|cost|costs|how much|charge|fee|fees|expensive)\b/i,
      say: "{fact}.",
    },
    {
      name: "menu",
      facts: ["menu", "dishes", "food"],
      asked: /\b(menu|serve|dish(es)?|food|eat|pasta|pizza|fish|special)\b/i,
      say: "We serve {fact}.",
    },
    {
      name: "address",
      facts: ["address", "location", "directions"],
      asked: /\b(address|where are you|where is|located|location|find you|get there|directions)\b/i,
      say: "Our address is {fact}.",
    },
    {
      name: "insurance",
      facts: ["insurance"],
      asked: /\binsurance|insured\b/i,
      say: "{fact}.",
    },
    {
      name: "phone",
      facts: ["phone", "telephone", "number"],
      asked: /\byour (phone )?number\b/i,
      say: "Our number is {fact}.",
    },
  ],
  lines: [
    {
      name: "urgent",
      asked: /\b(emergency|pain|hurts|urgent|bleeding|toothache)\b/i,
      say: "I am sorry to hear that. Please come in, we keep free visits for emergencies every day.",
    },
    {
      name: "booking",
      asked: /\b(book|booking|reserve|reservation|appointment|table|visit|schedule|reschedule|cancel)\b/i,
      say: "I can pass that on, and somebody calls you back to settle it. What is your name, please?",
    },
    {
      name: "caller's name",
      asked: /\b(?:my name is|this is|i am called)\s+([\p{L}'-]+)/iu,
      say: "Thank you, {1}. What can I do for you?",
    },
    {
      name: "dictated number",
      asked: /((?:\b(?:\d+|zero|oh|one|two|three|four|five|six|seven|eight|nine)\b[\s,.-]*){3,})/i,
      say: "Thank you, I have noted {1}. Is that right?",
    },
    {
      name: "thanks",
      asked: /\b(thanks|thank you|cheers)\b/i,
      say: "You are welcome. Is there anything else?",
    },
    {
      name: "greeting",
      asked: /^(hi|hello|hey|good (morning|afternoon|evening|day))\b/i,
      say: "Hello! How can I help you?",
    },
    {
      name: "yes",
      asked: /^(yes|yeah|yep|sure|ok|okay|right|correct|that's right)\b/i,
      say: "Very good. What else would you like to know?",
    },
    {
      name: "no",
      asked: /^(no|nope|not really)\b/i,
      say: "All right. Is there anything else I can help with?",
    },
    {
      name: "hesitation",
      asked: /^(um+|uh+|hm+|er+|well|let me (see|think)|wait|hold on|one moment)\b/i,
      say: "Take your time.",
    },
  ],
};

const spanish: LanguageRules = {
  repeat: /^(perdón|perdone|cómo|qué|disculpe)[?¿!. ]*$|puede repetir|repita/i,
  tellMeAbout: /\b(cuénteme|hábleme)\b/i,
  nothingSaidYet: "He dicho: ¿en qué puedo ayudarle?",
  unknownFact: "Lo siento, eso no lo sé. ¿Quiere dejar un mensaje?",
  fallback: "Lo siento, solo puedo ayudarle con preguntas sobre {business}.",
  linesFirst: [
    {
      name: "goodbye",
      asked: /adiós|hasta luego|eso es todo|nada más/i,
      say: "Gracias por llamar a {business}. ¡Adiós!",
      tool: "end_call",
    },
    {
      name: "name",
      asked: /cómo se llama|quién (es|habla)|un robot/i,
      say: "Soy {agent}, un asistente de IA de {business}.",
    },
  ],
  topics: [
    {
      name: "hours",
      facts: ["opening hours", "horario", "hours"],
      asked: /horario|hora|abren|abierto|cierran/i,
      say: "Abrimos {fact}.",
      framed: true,
    },
    {
      name: "parking",
      facts: ["parking", "aparcamiento"],
      asked: /aparcar|aparcamiento|estacionar|parking/i,
      say: "{fact}.",
    },
    { name: "prices", facts: ["prices", "precios"], asked: /precio|cuesta|cuánto/i, say: "{fact}." },
    { name: "address", facts: ["address", "dirección"], asked: /dirección|dónde/i, say: "{fact}." },
    { name: "menu", facts: ["menu", "menú", "carta"], asked: /menú|carta|comida|comer/i, say: "{fact}." },
  ],
  lines: [
    { name: "booking", asked: /reserv|cita|mesa/i, say: "Puedo tomar nota y le llamarán. ¿Cómo se llama?" },
    { name: "thanks", asked: /gracias/i, say: "De nada. ¿Algo más?" },
    { name: "greeting", asked: /hola|buenos días|buenas/i, say: "¡Hola! ¿En qué puedo ayudarle?" },
  ],
};

const french: LanguageRules = {
  repeat: /^(pardon|comment|quoi|excusez-moi)[?!. ]*$|pouvez-vous répéter|répétez/i,
  tellMeAbout: /\bparlez-moi\b/i,
  nothingSaidYet: "Je disais : comment puis-je vous aider ?",
  unknownFact: "Je suis désolé, je ne le sais pas. Voulez-vous laisser un message ?",
  fallback: "Je suis désolé, je ne peux répondre qu'aux questions sur {business}.",
  linesFirst: [
    {
      name: "goodbye",
      asked: /au revoir|c'est tout|rien d'autre/i,
      say: "Merci d'avoir appelé {business}. Au revoir !",
      tool: "end_call",
    },
    {
      name: "name",
      asked: /votre nom|qui êtes-vous|un robot/i,
      say: "Je suis {agent}, un assistant IA de {business}.",
    },
  ],
  topics: [
    {
      name: "hours",
      facts: ["opening hours", "horaires", "hours"],
      asked: /horaires?|heures?|ouvert|ouvrez|fermez/i,
      say: "Nous sommes ouverts {fact}.",
      framed: true,
    },
    {
      name: "parking",
      facts: ["parking", "stationnement"],
      asked: /parking|garer|stationne/i,
      say: "{fact}.",
    },
    {
      name: "prices",
      facts: ["prices", "prix", "tarifs"],
      asked: /prix|tarif|coûte|combien/i,
      say: "{fact}.",
    },
    { name: "address", facts: ["address", "adresse"], asked: /adresse|où/i, say: "{fact}." },
    { name: "menu", facts: ["menu", "carte"], asked: /menu|carte|manger/i, say: "{fact}." },
  ],
  lines: [
    {
      name: "booking",
      asked: /réserv|rendez-vous|table/i,
      say: "Je peux prendre note et on vous rappellera. Votre nom ?",
    },
    { name: "thanks", asked: /merci/i, say: "Je vous en prie. Autre chose ?" },
    { name: "greeting", asked: /bonjour|bonsoir|salut/i, say: "Bonjour ! Comment puis-je vous aider ?" },
  ],
};

export const rules: Readonly<Record<RuleLanguage, LanguageRules>> = { en: english, es: spanish, fr: french };

/** When the caller's words call for a tool, by the tool's name; `perDay`: once for each weekday named. */
export interface ToolIntent {
  readonly tool: string;
  readonly asked: RegExp;
  readonly perDay?: boolean;
}

export const toolIntents: readonly ToolIntent[] = [
  {
    tool: "check_opening_hours",
    // A time or day must be meant: the general question is answered from the prompt.
    asked:
      /\b(are you|is it|will you be|you) (still )?(open|closed)\b.*\b(now|today|tonight|tomorrow|still|at|on|this|(mon|tues|wednes|thurs|fri|satur|sun)day)\b|\b(are you|is it) (still )?(open|closed)\b[\s?.!]*$|\bopen (now|today|tonight|tomorrow|on|at)\b/i,
    perDay: true,
  },
  {
    tool: "transfer_call",
    asked: /\b(real person|human being|transfer|speak to (someone|somebody|a person))\b/i,
  },
  { tool: "take_message", asked: /\b(take|leave) a message\b|\bcall me back\b/i },
  { tool: "book", asked: /\b(book|reserve|reservation|appointment)\b/i },
  { tool: "weather", asked: /\bweather\b/i },
];
