/**
 * What a call does, from the first ring to the last word.
 *
 * ```ts
 * // in a shard's thread:
 * runShard(createCallShard);
 * // on the main thread, what the shard emits:
 * if (event.kind === "journal") journals.append(event.event);
 * ```
 */
export {
  type CallShardConfig,
  type CallShardData,
  type CallShardEvent,
  type CallShardParts,
  type CallShardTopic,
  createCallShard,
} from "./call-shard.js";
export { trimVoiceFiles } from "./voice-files.js";
export { History } from "./history.js";
export { type Replayed, replayJournal } from "./resume.js";
export { cacheableTexts } from "./tenant-phrases.js";
export { readMessage } from "./message-files.js";
export { VoiceCache } from "./voice-cache.js";
export type { Call } from "./call.js";
