/** Bounds of a call that more than one stage must agree on. */

/**
 * Longest stretch of a reply, which is one voice stream: as many as a reply has rounds of tools, and one more.
 * Prompts ask for under 30 words, ten seconds; a voice that never stops would fill the shard's memory.
 */
export const MAX_SEGMENT_AUDIO_MS = 120_000;

/** Longest caller turn kept, in characters: several minutes of speech; older words are dropped. */
export const MAX_TURN_CHARS = 4_000;
