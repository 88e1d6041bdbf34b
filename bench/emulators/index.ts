/**
 * Speech recognisers, language models and voices, emulated on their own wire protocols in one process, so that
 * the real client code runs against them: latencies drawn from distributions, rates, limits, and faults a test
 * flips at an exact instant.
 *
 * ```ts
 * const emulators = await startEmulators({ seed: 7, latency: { llmFirstTokenMs: exactly(200) } });
 * const node = spawnNode({ ...process.env, ...emulators.env() });
 * emulators.groq.script(/parking/i, { text: "Behind the house." });
 * emulators.deepgram.faults.arm({ kind: "close", code: 1011, reason: "NET-0000", afterAudioMs: 2_000 });
 * const entry = await emulators.log.until((entry, change) => entry.kind === "llm" && change === "firstToken");
 * emulators.deepgram.live[0]?.inject({ kind: "halfOpen" });
 * await emulators.close();
 * ```
 */
export type { WhisperControl, WhisperFault } from "./whisper/server.js";
export type { AssemblyFault, AssemblyStreamFault } from "./assemblyai/server.js";
export type { AssemblyControl, LiveAssemblySession } from "./assemblyai/server.js";
export type {
  CartesiaContextFault,
  CartesiaContextInfo,
  CartesiaLiveFault,
  CartesiaSocketFault,
  CartesiaSocketInfo,
} from "./cartesia/faults.js";
export type { CartesiaControl, LiveSocket } from "./cartesia/server.js";
export type {
  DeepgramFault,
  DeepgramStreamFault,
  DeepgramStreamInfo,
  StreamInstant,
} from "./deepgram/faults.js";
export type { DeepgramControl, LiveStream } from "./deepgram/server.js";
export type { ElevenLabsControl, LiveElevenLabsSocket } from "./elevenlabs/server.js";
export type { SpeechHttpFault, SpeechHttpInfo } from "./speech-http/faults.js";
export type { SpeechHttpControl } from "./speech-http/server.js";
export type { SpeechFault, SpeechInfo } from "./speech-queue.js";
export type { VoiceLiveFault, VoiceSocketFault, VoiceSocketInfo } from "./voice-faults.js";
export { type Distribution, exactly } from "./distribution.js";
export { type EmulatorUrls, type Emulators, startEmulators } from "./emulators.js";
export type {
  ArmCommand,
  InjectCommand,
  LatencyCommand,
  LimitsCommand,
  RatesCommand,
  ScriptCommand,
} from "./control-schema.js";
export { armSchema, injectSchema, latencySchema, limitsSchema } from "./control-schema.js";
export { FAULT_FIELDS } from "./fault-fields.js";
export type { ArmOptions, ArmedFault, FaultSwitch } from "./faults.js";
export type { ModelControl, LiveReply, ScriptHandle, ScriptMatch, ScriptOptions } from "./llm/control.js";
export type { ModelFault, ModelFaultKind, ModelRequestInfo } from "./llm/faults.js";
export { MODEL_VENDORS, type ModelVendor } from "./llm/vendors.js";
export type { Scripted, ScriptedPart, ScriptedToolCall } from "./llm/reply.js";
export { type ChatRequest, lastUserText } from "./llm/request.js";
export type {
  LlmRequestEntry,
  LogChange,
  LogEntry,
  LogListener,
  SttShown,
  SttUtteranceEntry,
  TtsContextEntry,
} from "./log.js";
export {
  EMULATOR_API_KEY,
  type EmulatorLatency,
  type EmulatorLimits,
  type EmulatorOptions,
  type EmulatorPorts,
  type EmulatorRates,
} from "./options.js";
export { NetworkTap } from "./network-tap.js";
