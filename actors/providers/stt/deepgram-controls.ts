/** The steering that the SDK's connections to v1 and to Flux share. */
import type { DeepgramControls } from "./deepgram-dialect.js";

/** What is used of either. */
interface SdkConnection {
  on(event: "message", callback: (message: unknown) => void): void;
  connect(): unknown;
  sendMedia(audio: Uint8Array): void;
  sendCloseStream(message: { type: "CloseStream" }): void;
  close(): void;
}

export abstract class SdkControls<Connection extends SdkConnection> implements DeepgramControls {
  protected readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  start(onMessage: (message: unknown) => void): void {
    this.connection.on("message", onMessage);
    this.connection.connect();
  }

  sendAudio(audio: Uint8Array): void {
    this.connection.sendMedia(audio);
  }

  abstract keepAlive(): void;
  abstract finalize(): void;

  closeStream(): void {
    this.connection.sendCloseStream({ type: "CloseStream" });
  }

  detach(): void {
    this.connection.close();
  }
}
