/** The steering that the SDK's connections to v1 and to Flux share. */
import type { DeepgramControls } from "./deepgram-dialect.js";

/** What is used of either. */
interface SdkConnection {
  connect(): unknown;
  sendCloseStream(message: { type: "CloseStream" }): void;
  close(): void;
}

export abstract class SdkControls<Connection extends SdkConnection> implements DeepgramControls {
  protected readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  start(): void {
    this.connection.connect();
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
