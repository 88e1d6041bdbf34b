/** What the plain agent is started with: addresses and keys from the environment, the rest fixed. */

export const CARTESIA_VERSION = "2026-03-01";

export interface BaselineSettings {
  readonly deepgram: { readonly url: string; readonly apiKey: string };
  readonly groq: { readonly url: string; readonly apiKey: string };
  readonly cartesia: { readonly url: string; readonly apiKey: string };
  readonly prompt: string;
  readonly greeting: string;
}

/** Reads the variables a node reads too. @throws Error that names the one that is missing. */
export function baselineSettings(environment: NodeJS.ProcessEnv): BaselineSettings {
  const vendor = (name: string) => ({
    url: required(environment, `${name}_URL`),
    apiKey: required(environment, `${name}_API_KEY`),
  });
  return {
    deepgram: vendor("DEEPGRAM"),
    groq: vendor("GROQ"),
    cartesia: vendor("CARTESIA"),
    prompt: environment.BASELINE_PROMPT ?? "You answer the phone of a dental practice. Keep it short.",
    greeting: environment.BASELINE_GREETING ?? "Hello.",
  };
}

function required(environment: NodeJS.ProcessEnv, name: string): string {
  const value = environment[name];
  if (value === undefined || value === "") throw new Error(`${name} is required`);
  return value;
}
