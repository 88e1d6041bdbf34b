/**
 * Where the providers' keys and addresses come from: one row per account, two variables each. Rows yield the
 * settings, their page, what `lumentra doctor` tries and what `lumentra up` emulates.
 *
 * Providers of one vendor may share variables: each has its row, and names the same ones.
 */
import type { z } from "zod";
import { type ProviderSettings, providerDefaults } from "#actors/providers";
import { meta, text, url } from "#runtime/settings";

export type ProviderAccount = keyof ProviderSettings;

interface AccountRow {
  /** As a person reads it: whose, and for what. */
  readonly title: string;
  readonly key: string;
  readonly url: string;
  /** What must be set for the provider to be offered: a vendor wants a key, one's own server an address. */
  readonly needs: "key" | "url";
  readonly schemes: readonly string[];
}

const HTTP = ["http:", "https:"] as const;
const WS = ["ws:", "wss:"] as const;

export const PROVIDER_ACCOUNTS = {
  deepgram: {
    title: "Deepgram (speech to text)",
    key: "DEEPGRAM_API_KEY",
    url: "DEEPGRAM_URL",
    needs: "key",
    schemes: [...WS, ...HTTP],
  },
  assemblyai: {
    title: "AssemblyAI (speech to text)",
    key: "ASSEMBLYAI_API_KEY",
    url: "ASSEMBLYAI_URL",
    needs: "key",
    schemes: [...WS, ...HTTP],
  },
  whisper: {
    title: "Whisper on a server of one's own (speech to text)",
    key: "WHISPER_API_KEY",
    url: "WHISPER_URL",
    needs: "url",
    schemes: HTTP,
  },
  groqWhisper: {
    title: "Groq (speech to text)",
    key: "GROQ_API_KEY",
    url: "GROQ_WHISPER_URL",
    needs: "key",
    schemes: HTTP,
  },
  groq: {
    title: "Groq (language model)",
    key: "GROQ_API_KEY",
    url: "GROQ_URL",
    needs: "key",
    schemes: HTTP,
  },
  cerebras: {
    title: "Cerebras (language model)",
    key: "CEREBRAS_API_KEY",
    url: "CEREBRAS_URL",
    needs: "key",
    schemes: HTTP,
  },
  together: {
    title: "Together (language model)",
    key: "TOGETHER_API_KEY",
    url: "TOGETHER_URL",
    needs: "key",
    schemes: HTTP,
  },
  openai: {
    title: "OpenAI (language model)",
    key: "OPENAI_API_KEY",
    url: "OPENAI_URL",
    needs: "key",
    schemes: HTTP,
  },
  ollama: {
    title: "an Ollama server (language model)",
    key: "OLLAMA_API_KEY",
    url: "OLLAMA_URL",
    needs: "url",
    schemes: HTTP,
  },
  vllm: {
    title: "a vLLM server (language model)",
    key: "VLLM_API_KEY",
    url: "VLLM_URL",
    needs: "url",
    schemes: HTTP,
  },
  anthropic: {
    title: "Anthropic (language model)",
    key: "ANTHROPIC_API_KEY",
    url: "ANTHROPIC_URL",
    needs: "key",
    schemes: HTTP,
  },
  cartesia: {
    title: "Cartesia (voice)",
    key: "CARTESIA_API_KEY",
    url: "CARTESIA_URL",
    needs: "key",
    schemes: WS,
  },
  elevenlabs: {
    title: "ElevenLabs (voice)",
    key: "ELEVENLABS_API_KEY",
    url: "ELEVENLABS_URL",
    needs: "key",
    schemes: WS,
  },
  openaiSpeech: {
    title: "OpenAI speech (voice)",
    key: "OPENAI_API_KEY",
    url: "OPENAI_SPEECH_URL",
    needs: "key",
    schemes: HTTP,
  },
  piper: {
    title: "a Piper server (voice)",
    key: "PIPER_API_KEY",
    url: "PIPER_URL",
    needs: "url",
    schemes: HTTP,
  },
} as const satisfies Readonly<Record<ProviderAccount, AccountRow>>;

type Row = (typeof PROVIDER_ACCOUNTS)[ProviderAccount];
type Variable = Row["key"] | Row["url"];

/** Whoever takes this key, in words: one of a vendor's may open several of its doors. */
function holdersOf(key: string): string {
  const rows = Object.values<AccountRow>(PROVIDER_ACCOUNTS).filter((row) => row.key === key);
  return rows.map(({ title }) => title).join(" and ");
}

/** The fields these rows add to a node's settings. */
export const providerFields = Object.fromEntries(
  Object.entries<AccountRow>(PROVIDER_ACCOUNTS).flatMap(([account, row]) => {
    const where = addressOf(account as ProviderAccount);
    const isOwn = row.needs === "url";
    const key = meta(text().optional(), {
      help: isOwn ? `Key for ${row.title}, where it wants one.` : `Key for ${holdersOf(row.key)}.`,
      secret: true,
    });
    const address = meta(url(...row.schemes).optional(), {
      help: isOwn ? `Origin of ${row.title}.` : `Origin of ${row.title}, or of what speaks its protocol.`,
      ...(where !== undefined && { shownDefault: `\`${where}\`` }),
    });
    return [
      [row.key, key],
      [row.url, address],
    ];
  }),
) as Readonly<Record<Variable, z.ZodOptional<z.ZodString>>>;

/** Other programs of the machine have variables that begin so: not ours to refuse. */
const SHARED_PREFIXES = /^(OPENAI|ANTHROPIC|TOGETHER|OLLAMA|VLLM|WHISPER|PIPER)_/;

/** What the names of the other accounts' variables begin with, where one that is unknown is a misspelling. */
export const providerPrefixes: readonly string[] = Object.values<AccountRow>(PROVIDER_ACCOUNTS)
  .filter(({ key }) => !SHARED_PREFIXES.test(key))
  .map(({ key }) => key.slice(0, key.indexOf("_") + 1));

/** Where a vendor listens; undefined for servers of one's own. */
export function addressOf(account: ProviderAccount): string | undefined {
  const defaults = providerDefaults[account];
  return "url" in defaults ? defaults.url : undefined;
}
