/**
 * Speech: whether the caller speaks, whether he is done, what of his sound is ours, how our words are cut
 * for the voice and which of them he heard. Pure: no timers, no input or output; time comes in as numbers.
 *
 * ```ts
 * const echoGuard = new EchoGuard();
 * const voice = new VoiceActivity(format, { echoGuard });
 * const endpointing = new Endpointing();
 *
 * echoGuard.noteSentLevel(levelDb, playAtMs);                       // each frame that we play
 * if (voice.push(bytes, 0, bytes.length, atMs) === VadEvent.speechStart) pausePlayout();
 * const decision = endpointing.decide({
 *   nowMs, text: "I'd like a table for two.", isFinal: true, sttEndOfSpeech: true,
 *   silenceMs: nowMs - voice.lastSpeechAtMs, transcriptAtMs, language: "en",
 * });                                                               // wait, eager or commit
 *
 * const splitter = new ClauseSplitter();
 * const heard = new HeardText();
 * for (const piece of splitter.push(delta)) { tts.push(piece); heard.addText(piece); }
 * history.push(heard.heardWords(playedMs));
 * ```
 */
export { AudioLevels } from "./audio-levels.js";
export { isBackchannel } from "./backchannel.js";
export { endsClause } from "./clause-ends.js";
export { ClauseSplitter, type ClauseSplitterOptions } from "./clause-splitter.js";
export { expectedDigits } from "./dictation.js";
export { DtmfCollector, type DtmfCollectorOptions } from "./dtmf-collector.js";
export { EchoGuard, type EchoGuardOptions } from "./echo-guard.js";
export { ourWords } from "./echo-text.js";
export {
  COVER_TOLERANCE_MS,
  Endpointing,
  type EndpointingDecision,
  type EndpointingInput,
  type EndpointingOptions,
  type ResolvedEndpointingOptions,
} from "./endpointing.js";
export { FrameMeter, SILENCE_DB } from "./frame-meter.js";
export { HeardText, type TimedWord } from "./heard-text.js";
export { SPEECH_LANGUAGES, type SpeechLanguage, speechLanguage } from "./language.js";
export { type Phrases, phrasesFor } from "./phrases.js";
export {
  type QuickReply,
  type QuickReplyValues,
  matchQuickReply,
  quickReplyTexts,
} from "./quick-replies.js";
export { comparableWord } from "./words.js";
export { FrameKind, VadEvent, VoiceActivity, type VoiceActivityOptions } from "./voice-activity.js";
