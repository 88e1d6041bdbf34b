/**
 * The simulated phone: a carrier and a caller in one, at the wire. It calls a node as Twilio or SignalWire
 * would, talks and listens in real audio, and can have a poor line.
 *
 * ```ts
 * const call = await placeCall({ nodeUrl: "http://127.0.0.1:8080", to: "+12025550101" });
 * await call.waitForReply(0); // the greeting
 * const said = await call.say("Is there parking?");
 * await call.waitForReply(said.endedAtMs);
 * console.log(call.heardText(said.endedAtMs));
 * call.hangUp();
 * const { outcome, stats, violations } = await call.ended;
 * ```
 */
export { type CarrierName, carrierDialects } from "./carrier.js";
export { FRAME_SAMPLES } from "./encoded-speech.js";
export { signForm } from "./signature.js";
export type { HeardWord } from "./ear.js";
export type { LineImpairments } from "./line.js";
export type { MarkupVerb } from "./markup.js";
export type { Violation } from "./outbound.js";
export type { PhoneCall } from "./phone-call.js";
export type {
  PhoneCallResult,
  PhoneCallStats,
  PhoneEvent,
  PhoneOutcome,
  SaidUtterance,
} from "./phone-types.js";
export { fetchClosedJournal, followJournal } from "./journal-client.js";
export { type PlaceCallOptions, phoneClock, placeCall } from "./place-call.js";
export type { Spurt } from "./playout.js";
export { type ScriptReport, type ScriptStep, runScript } from "./script.js";
export { LineTicker } from "./ticker.js";
export { type Turn, type TurnStages, turnsOf } from "./turns.js";
