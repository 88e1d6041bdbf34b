/**
 * The carrier's media messages of one stream, as Twilio writes them: one buffer, in which the counters and the payload
 * change from frame to frame. Whoever keeps a message copies it.
 */
import { FRAME_BYTES, SILENT_FRAME } from "./word-audio.js";

const FRAME_MS = 20;
const silence = base64Of(SILENT_FRAME);

export class MediaFrames {
  readonly #streamId: string;
  #buffer = Buffer.allocUnsafeSlow(0);
  #chunk = 0;
  /** Where the counters end and the payload begins, in the present buffer. */
  #sequenceEnd = 0;
  #chunkEnd = 0;
  #timestampEnd = 0;
  #payloadAt = 0;
  #payload = "";
  /** The counters keep their lengths until this chunk. */
  #sameUntil = 0;

  constructor(streamId: string) {
    this.#streamId = streamId;
  }

  /** The next message, with this frame in it; good until the one after. */
  next(frame: Uint8Array): ArrayBuffer {
    const payload = frame === SILENT_FRAME ? silence : base64Of(frame);
    this.#chunk += 1;
    if (this.#chunk >= this.#sameUntil) this.#layOut(payload);
    else {
      writeNumber(this.#buffer, this.#sequenceEnd, this.#chunk);
      writeNumber(this.#buffer, this.#chunkEnd, this.#chunk);
      writeNumber(this.#buffer, this.#timestampEnd, this.#chunk * FRAME_MS);
      if (payload !== this.#payload) this.#buffer.write(payload, this.#payloadAt, "latin1");
    }
    this.#payload = payload;
    return this.#buffer.buffer;
  }

  #layOut(payload: string): void {
    const chunk = this.#chunk;
    let text = `{"event":"media","sequenceNumber":"${chunk}`;
    this.#sequenceEnd = text.length;
    text += `","media":{"track":"inbound","chunk":"${chunk}`;
    this.#chunkEnd = text.length;
    text += `","timestamp":"${chunk * FRAME_MS}`;
    this.#timestampEnd = text.length;
    text += '","payload":"';
    this.#payloadAt = text.length;
    text += `${payload}"},"streamSid":"${this.#streamId}"}`;
    this.#buffer = Buffer.allocUnsafeSlow(text.length);
    this.#buffer.write(text, "latin1");
    const next = (count: number): number => 10 ** String(count).length;
    this.#sameUntil = Math.min(next(chunk), Math.ceil(next(chunk * FRAME_MS) / FRAME_MS));
  }
}

function base64Of(frame: Uint8Array): string {
  return Buffer.from(frame.buffer, frame.byteOffset, FRAME_BYTES).toString("base64");
}

/** Decimal digits that end before `end`: as many as were there. */
function writeNumber(buffer: Buffer, end: number, value: number): void {
  let at = end;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 10)) buffer[--at] = 48 + (rest % 10);
}
