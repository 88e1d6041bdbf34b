/**
 * The languages whose words we know: endpointing, backchannels, quick replies and phrases have lists for these.
 */

export const SPEECH_LANGUAGES = ["en", "es", "fr"] as const;
export type SpeechLanguage = (typeof SPEECH_LANGUAGES)[number];

/** The list to use for a BCP-47 tag: by its primary part, English when we have no list of its own. */
export function speechLanguage(tag: string): SpeechLanguage {
  const primary = tag.slice(0, 2).toLowerCase();
  return SPEECH_LANGUAGES.find((language) => language === primary) ?? "en";
}
