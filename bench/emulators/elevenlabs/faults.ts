/** What can go wrong with this voice; armed on `elevenlabs.socketFaults` and `.contextFaults`, or injected live. */
import type { SpeechFault, SpeechInfo } from "../speech-queue.js";
import type { VoiceLiveFault, VoiceSocketFault, VoiceSocketInfo } from "../voice-faults.js";

export type ElevenLabsSocketFault = VoiceSocketFault;
export type ElevenLabsLiveFault = VoiceLiveFault;
export type ElevenLabsSocketInfo = VoiceSocketInfo;
export type ElevenLabsContextFault = SpeechFault;
export type ElevenLabsContextInfo = SpeechInfo;
