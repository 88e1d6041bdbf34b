/** What can go wrong with a voice; armed on `cartesia.socketFaults` and `cartesia.contextFaults`, or injected live. */
import type { SpeechFault, SpeechInfo } from "../speech-queue.js";
import type { VoiceLiveFault, VoiceSocketFault, VoiceSocketInfo } from "../voice-faults.js";

export type CartesiaSocketFault = VoiceSocketFault;
export type CartesiaLiveFault = VoiceLiveFault;
export type CartesiaSocketInfo = VoiceSocketInfo;
export type CartesiaContextFault = SpeechFault;
export type CartesiaContextInfo = SpeechInfo;
