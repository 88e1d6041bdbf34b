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
  type CallShardTopic,
  createCallShard,
} from "./call-shard.js";
export { trimVoiceFiles } from "./voice-files.js";
