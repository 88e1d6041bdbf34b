/**
 * One call of the plain agent, the way most samples build it: an object that holds everything, SDK clients, JSON.parse
 * of each message, a socket to each vendor. Written to be measured against; nothing of Lumentra is used.
 *
 * It answers when the recogniser says that the caller paused, stops when the caller is heard over it, and keeps
 * what it meant to say as history. It has no echo guard, no pacing, no bounds and no second attempt.
 */
import { DeepgramClient } from "@deepgram/sdk";
import type Groq from "groq-sdk";
import { WebSocket } from "ws";
import { type BaselineSettings, CARTESIA_VERSION } from "./settings.js";

const VOICE = "f786b574-daa5-4673-aa0c-cbe3e8534c02";
const SENTENCE_END = /[.!?]\s/;

type Recogniser = Awaited<ReturnType<DeepgramClient["listen"]["v1"]["connect"]>>;

interface CarrierMessage {
  readonly event: string;
  readonly start?: { readonly streamSid: string };
  readonly media?: { readonly payload: string };
  readonly mark?: { readonly name: string };
}

interface RecogniserResult {
  readonly type: string;
  readonly is_final?: boolean;
  readonly speech_final?: boolean;
  readonly channel?: { readonly alternatives: readonly { readonly transcript: string }[] };
}

interface VoiceMessage {
  readonly type: string;
  readonly context_id?: string;
  readonly data?: string;
}

export class BaselineCall {
  readonly #carrier: WebSocket;
  readonly #groq: Groq;
  readonly #settings: BaselineSettings;
  readonly #history: { role: "system" | "user" | "assistant"; content: string }[] = [];
  #streamSid = "";
  #recogniser: Recogniser | null = null;
  #voice: WebSocket | null = null;
  /** What the voice says now; audio of any other is thrown away. */
  #contextId = "";
  #turn = 0;
  #reply: AbortController | null = null;
  #isSpeaking = false;
  #said = "";
  #isOver = false;

  constructor(carrier: WebSocket, groq: Groq, settings: BaselineSettings) {
    this.#carrier = carrier;
    this.#groq = groq;
    this.#settings = settings;
  }

  /** Lives as long as the carrier's socket. */
  begin(): void {
    const carrier = this.#carrier;
    this.#history.push({ role: "system", content: this.#settings.prompt });
    carrier.on("message", (data: Buffer) => this.#onCarrier(JSON.parse(data.toString()) as CarrierMessage));
    carrier.on("close", () => this.#close());
    // A close follows.
    carrier.on("error", () => {});
  }

  #onCarrier(message: CarrierMessage): void {
    switch (message.event) {
      case "start":
        this.#streamSid = message.start!.streamSid;
        this.#open().catch(() => this.#carrier.close());
        return;
      case "media":
        // The SDK's socket throws until it is open; what is said by then is lost, as in the samples.
        if (this.#recogniser?.readyState === WebSocket.OPEN) {
          this.#recogniser.sendMedia(Buffer.from(message.media!.payload, "base64"));
        }
        return;
      case "mark":
        // The carrier has played it all: what the caller says now interrupts nothing.
        if (message.mark!.name === this.#contextId) this.#isSpeaking = false;
        return;
      case "stop":
        this.#close();
        return;
    }
  }

  async #open(): Promise<void> {
    const { deepgram, cartesia } = this.#settings;
    const voice = new WebSocket(
      `${cartesia.url}/tts/websocket?api_key=${cartesia.apiKey}&cartesia_version=${CARTESIA_VERSION}`,
    );
    this.#voice = voice;
    voice.on("message", (data: Buffer) => this.#onVoice(JSON.parse(data.toString()) as VoiceMessage));
    voice.on("error", () => this.#carrier.close());
    voice.once("open", () => this.#greet());
    const client = new DeepgramClient({ apiKey: deepgram.apiKey, baseUrl: deepgram.url });
    const recogniser = await client.listen.v1.connect({
      model: "nova-3",
      language: "en",
      encoding: "mulaw",
      sample_rate: 8_000,
      channels: 1,
      interim_results: "true",
      punctuate: "true",
      endpointing: 100,
    });
    recogniser.on("message", (message) => this.#onRecogniser(message as RecogniserResult));
    recogniser.on("error", () => this.#carrier.close());
    recogniser.connect();
    await recogniser.waitForOpen();
    if (this.#isOver) recogniser.close();
    else this.#recogniser = recogniser;
  }

  #onRecogniser(message: RecogniserResult): void {
    if (message.type !== "Results") return;
    const text = message.channel?.alternatives[0]?.transcript ?? "";
    if (text !== "" && this.#isSpeaking) this.#interrupt();
    if (message.is_final === true && text !== "") this.#said += ` ${text}`;
    if (message.speech_final !== true || this.#said.trim() === "") return;
    const said = this.#said.trim();
    this.#said = "";
    void this.#answer(said);
  }

  #greet(): void {
    this.#history.push({ role: "assistant", content: this.#settings.greeting });
    this.#beginContext();
    this.#speak(this.#settings.greeting, false);
  }

  async #answer(said: string): Promise<void> {
    this.#reply?.abort();
    const reply = new AbortController();
    this.#reply = reply;
    this.#history.push({ role: "user", content: said });
    this.#beginContext();
    let sentence = "";
    let whole = "";
    try {
      const stream = await this.#groq.chat.completions.create(
        {
          model: "llama-3.3-70b-versatile",
          messages: this.#history,
          temperature: 0.4,
          max_tokens: 200,
          stream: true,
        },
        { signal: reply.signal },
      );
      for await (const chunk of stream) {
        if (reply.signal.aborted) break;
        const delta = chunk.choices[0]?.delta.content ?? "";
        whole += delta;
        sentence += delta;
        if (!SENTENCE_END.test(sentence)) continue;
        this.#speak(sentence, true);
        sentence = "";
      }
      if (!reply.signal.aborted) this.#speak(sentence, false);
    } catch {
      if (!reply.signal.aborted) this.#carrier.close();
    }
    if (whole !== "") this.#history.push({ role: "assistant", content: whole });
  }

  #beginContext(): void {
    this.#turn += 1;
    this.#contextId = `turn-${this.#turn}`;
    this.#isSpeaking = true;
  }

  #speak(transcript: string, more: boolean): void {
    this.#voice?.send(
      JSON.stringify({
        model_id: "sonic-3",
        context_id: this.#contextId,
        transcript,
        continue: more,
        voice: { mode: "id", id: VOICE },
        language: "en",
        output_format: { container: "raw", encoding: "pcm_mulaw", sample_rate: 8_000 },
        max_buffer_delay_ms: 0,
      }),
    );
  }

  #onVoice(message: VoiceMessage): void {
    if (message.context_id !== this.#contextId) return;
    if (message.type === "chunk") {
      // Carriers buffer: audio goes out as it comes.
      this.#send({ event: "media", streamSid: this.#streamSid, media: { payload: message.data } });
    } else if (message.type === "done") {
      this.#send({ event: "mark", streamSid: this.#streamSid, mark: { name: this.#contextId } });
    }
  }

  #interrupt(): void {
    this.#isSpeaking = false;
    this.#reply?.abort();
    this.#voice?.send(JSON.stringify({ context_id: this.#contextId, cancel: true }));
    this.#contextId = "";
    this.#send({ event: "clear", streamSid: this.#streamSid });
  }

  #send(message: unknown): void {
    if (this.#carrier.readyState === WebSocket.OPEN) this.#carrier.send(JSON.stringify(message));
  }

  #close(): void {
    this.#isOver = true;
    this.#reply?.abort();
    this.#recogniser?.close();
    this.#voice?.close();
    this.#carrier.close();
  }
}
