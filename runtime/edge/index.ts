/**
 * The edge: carriers on one side, rings on the other.
 *
 * ```ts
 * const edge = new Edge(
 *   { port: 8080, adminPort: 9090, publicUrl: "https://voice.example.com",
 *     carriers: [createTwilio({ authTokens: [token] }), createSignalWire({ signingKeys: [] })] },
 *   { clock, log, metrics, delegate }, // the delegate admits calls and is told what becomes of them
 * );
 * const { port, adminPort } = await edge.listen();
 *
 * // When a shard woke us: each slot that it rang for may have something to send.
 * arena.outBell.drain((slot) => edge.pump(arena.edgeSide(slot)));
 *
 * edge.hangUp(callId);   // the actor has heard the last mark
 * edge.beginDrain();     // no new calls
 * await edge.close();    // and no old ones
 * ```
 */
export type {
  CallStatusWebhook,
  Carrier,
  ConnectPlan,
  MediaProtocol,
  SignedRequest,
  StreamStatusWebhook,
  VoiceWebhook,
  WebhookRequest,
} from "./carriers/carrier.js";
export { type SignalWireOptions, createSignalWire } from "./carriers/signalwire.js";
export { type TwilioOptions, createTwilio } from "./carriers/twilio.js";
export type {
  Admission,
  AfterMedia,
  ClaimedCall,
  AdminDelegate,
  EdgeDelegate,
  InboundCall,
  OverflowPolicy,
  RefusalReason,
} from "./delegate.js";
export { Edge, type EdgeDependencies } from "./edge.js";
export type { LegRest } from "./leg.js";
export type { OverflowAudio } from "./overflow-audio.js";
export type { EdgeOptions, ResolvedEdgeOptions } from "./options.js";
export { Admissions, type WaitingCall } from "./admissions.js";
export { InboundMessage } from "./carriers/inbound-message.js";
export { MediaShapes } from "./carriers/media-shape.js";
export { EdgeCounters } from "./counters.js";
export { Leg, type LegEnvironment, type LegSocketData } from "./leg.js";
export { LoopTurns } from "./loop-turns.js";
export { Pump } from "./pump.js";
