/** `POST /tts/bytes` (raw or WAV, chunked) and `POST /tts/sse`: one text, spoken whole. */
import { randomUUID } from "node:crypto";
import type { HttpResponse } from "uWebSockets.js";
import { wavHeader } from "../audio-output.js";
import type { EmulatorSettings } from "../options.js";
import { writeAnswer } from "../ws-host.js";
import { TtsContext } from "./context.js";
import { errorMessage } from "./messages.js";
import { parseBody } from "./request.js";

/** A body longer than this is refused. */
const BODY_MAX_BYTES = 256 * 1024;

/** Reads the body, then answers. The headers were checked before. */
export function answerSpeech(res: HttpResponse, form: "bytes" | "sse", settings: EmulatorSettings): void {
  const pieces: Buffer[] = [];
  let byteCount = 0;
  const state = { gone: false, context: null as TtsContext | null };
  res.onAborted(() => {
    state.gone = true;
    state.context?.abandon();
  });
  res.onData((piece, isLast) => {
    byteCount += piece.byteLength;
    if (byteCount <= BODY_MAX_BYTES) pieces.push(Buffer.from(Buffer.from(piece)));
    if (!isLast || state.gone) return;
    if (byteCount > BODY_MAX_BYTES) refuse(res, 413, "The request is too large.");
    else state.context = speak(res, Buffer.concat(pieces).toString("utf8"), form, settings, state);
  });
}

function speak(
  res: HttpResponse,
  body: string,
  form: "bytes" | "sse",
  settings: EmulatorSettings,
  state: { readonly gone: boolean },
): TtsContext | null {
  const request = parseBody(body, form);
  if ("problem" in request) {
    refuse(res, 400, request.problem);
    return null;
  }
  const { container, encoding, sample_rate } = request.output_format;
  const write = (data: string | Uint8Array): void => {
    if (!state.gone) res.cork(() => res.write(data));
  };
  let begun = false;
  const begin = (): void => {
    if (begun || state.gone) return;
    begun = true;
    res.cork(() => {
      res.writeStatus("200 OK");
      res.writeHeader("content-type", contentType(form, container));
      if (container === "wav") res.write(wavHeader({ encoding, sample_rate }));
    });
  };
  const context = new TtsContext(
    {
      contextId: randomUUID(),
      format: { container: "raw", encoding, sample_rate },
      timestamps: request.add_timestamps === true,
      phonemeTimestamps: request.add_phoneme_timestamps === true,
      bufferDelayMs: 0,
      faults: [],
    },
    settings,
    {
      send: (message) => {
        begin();
        const { type } = message as { type: string };
        if (form === "sse") write(`event: ${type}\ndata: ${JSON.stringify(message)}\n\n`);
      },
      onAudio: (bytes) => {
        begin();
        if (form === "bytes") write(bytes);
      },
      onEnd: () => {
        begin();
        if (!state.gone) res.cork(() => res.end());
      },
      dropSocket: () => res.close(),
    },
  );
  context.push(request.transcript, false, false);
  return context;
}

function contentType(form: "bytes" | "sse", container: "raw" | "wav"): string {
  if (form === "sse") return "text/event-stream";
  return container === "wav" ? "audio/wav" : "audio/pcm";
}

function refuse(res: HttpResponse, status: number, message: string): void {
  const body = JSON.stringify(errorMessage(status, message, "invalid_request", null, "Invalid request"));
  writeAnswer(res, { status, headers: {}, body });
}
