/**
 * What a carrier puts on the wire towards a node, one dialect per carrier: the webhook's path and parameters,
 * ids, and the text of each media-socket message (Twilio's Media Streams messages; SignalWire's cXML streams
 * differ in little). Numbers travel as strings, as both do it. Dialects only compose; order,
 * counters and pacing belong to MediaLeg.
 */
import { randomBytes, randomUUID } from "node:crypto";

export type CarrierName = "twilio" | "signalwire";

/** The ids a call has at its carrier. A new media stream of the same call gets a new `streamSid`. */
export interface CallIds {
  readonly accountSid: string;
  readonly callSid: string;
  readonly streamSid: string;
}

export interface CarrierDialect {
  readonly name: CarrierName;
  /** Where the node takes this carrier's voice webhook. */
  readonly webhookPath: string;
  readonly userAgent: string;
  readonly signatureHeader: string;
  /** Twilio signs the upgrade of the media socket; SignalWire sends a bearer token if it was given one. */
  readonly signsUpgrade: boolean;
  /** `media.timestamp` of the first frame: Twilio's counts the frame itself, SignalWire's starts at 0. */
  readonly firstTimestampMs: number;
  /** Whether the node may send `dtmf` over the socket. */
  readonly acceptsDtmf: boolean;
  newAccountSid(): string;
  newCallSid(): string;
  newStreamSid(): string;
  webhookParameters(ids: CallIds, from: string, to: string, callStatus: string): Record<string, string>;
  connected(): string;
  start(ids: CallIds, sequence: number, customParameters: Readonly<Record<string, string>>): string;
  media(ids: CallIds, sequence: number, chunk: number, timestampMs: number, payloadBase64: string): string;
  dtmf(ids: CallIds, sequence: number, digit: string): string;
  mark(ids: CallIds, sequence: number, name: string): string;
  stop(ids: CallIds, sequence: number): string;
}

/** Twilio's id shape: a two-letter kind and 32 lower-case hex digits. */
const twilioSid = (kind: string): string => kind + randomBytes(16).toString("hex");

/** A digit held for 100 ms, the shortest a person manages; SignalWire reports it, Twilio does not. */
const DTMF_DURATION_MS = 100;

export const twilioDialect: CarrierDialect = {
  name: "twilio",
  webhookPath: "/twilio/voice",
  userAgent: "TwilioProxy/1.1",
  signatureHeader: "x-twilio-signature",
  signsUpgrade: true,
  firstTimestampMs: 20,
  acceptsDtmf: false,
  newAccountSid: () => twilioSid("AC"),
  newCallSid: () => twilioSid("CA"),
  newStreamSid: () => twilioSid("MZ"),
  webhookParameters: (ids, from, to, callStatus) => ({
    AccountSid: ids.accountSid,
    ApiVersion: "2010-04-01",
    CallSid: ids.callSid,
    CallStatus: callStatus,
    CallToken: `%7B%22parentCallInfoToken%22%3A%22${ids.callSid.slice(2, 18)}%22%7D`,
    Called: to,
    CalledCity: "WASHINGTON",
    CalledCountry: "US",
    CalledState: "DC",
    CalledZip: "",
    Caller: from,
    CallerCity: "",
    CallerCountry: "US",
    CallerState: "NY",
    CallerZip: "",
    Direction: "inbound",
    From: from,
    FromCity: "",
    FromCountry: "US",
    FromState: "NY",
    FromZip: "",
    StirVerstat: "TN-Validation-Passed-A",
    To: to,
    ToCity: "WASHINGTON",
    ToCountry: "US",
    ToState: "DC",
    ToZip: "",
  }),
  connected: () => '{"event":"connected","protocol":"Call","version":"1.0.0"}',
  start: (ids, sequence, customParameters) =>
    JSON.stringify({
      event: "start",
      sequenceNumber: String(sequence),
      start: {
        accountSid: ids.accountSid,
        streamSid: ids.streamSid,
        callSid: ids.callSid,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        customParameters,
      },
      streamSid: ids.streamSid,
    }),
  media: (ids, sequence, chunk, timestampMs, payloadBase64) =>
    `{"event":"media","sequenceNumber":"${sequence}","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${timestampMs}","payload":"${payloadBase64}"},"streamSid":"${ids.streamSid}"}`,
  dtmf: (ids, sequence, digit) =>
    `{"event":"dtmf","sequenceNumber":"${sequence}","streamSid":"${ids.streamSid}","dtmf":{"track":"inbound_track","digit":"${digit}"}}`,
  mark: (ids, sequence, name) =>
    `{"event":"mark","sequenceNumber":"${sequence}","streamSid":"${ids.streamSid}","mark":{"name":${JSON.stringify(name)}}}`,
  stop: (ids, sequence) =>
    `{"event":"stop","sequenceNumber":"${sequence}","streamSid":"${ids.streamSid}","stop":{"accountSid":"${ids.accountSid}","callSid":"${ids.callSid}"}}`,
};

export const signalwireDialect: CarrierDialect = {
  name: "signalwire",
  webhookPath: "/signalwire/voice",
  userAgent: "SignalWire/1.0",
  signatureHeader: "x-signalwire-signature",
  signsUpgrade: false,
  firstTimestampMs: 0,
  acceptsDtmf: true,
  newAccountSid: randomUUID,
  newCallSid: randomUUID,
  newStreamSid: randomUUID,
  webhookParameters: (ids, from, to, callStatus) => ({
    AccountSid: ids.accountSid,
    ApiVersion: "2010-04-01",
    CallSid: ids.callSid,
    CallStatus: callStatus,
    Direction: "inbound",
    From: from,
    To: to,
  }),
  connected: () => '{"event":"connected","protocol":"Call","version":"0.2.0"}',
  start: (ids, sequence, customParameters) =>
    JSON.stringify({
      event: "start",
      sequenceNumber: String(sequence),
      start: {
        accountSid: ids.accountSid,
        streamSid: ids.streamSid,
        callSid: ids.callSid,
        tracks: ["inbound"],
        mediaFormat: { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 },
        ...(Object.keys(customParameters).length > 0 ? { customParameters } : {}),
      },
    }),
  media: (_ids, sequence, chunk, timestampMs, payloadBase64) =>
    `{"event":"media","sequenceNumber":"${sequence}","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${timestampMs}","payload":"${payloadBase64}"}}`,
  dtmf: (ids, sequence, digit) =>
    `{"event":"dtmf","sequenceNumber":"${sequence}","streamSid":"${ids.streamSid}","dtmf":{"digit":"${digit}","duration":${DTMF_DURATION_MS}}}`,
  mark: (ids, _sequence, name) =>
    `{"event":"mark","streamSid":"${ids.streamSid}","mark":{"name":${JSON.stringify(name)}}}`,
  stop: (_ids, sequence) => `{"event":"stop","sequenceNumber":"${sequence}"}`,
};

export const carrierDialects: Readonly<Record<CarrierName, CarrierDialect>> = {
  twilio: twilioDialect,
  signalwire: signalwireDialect,
};
