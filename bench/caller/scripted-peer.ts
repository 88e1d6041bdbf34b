/**
 * A scripted stand-in for a node's edge, for the phone's own tests: answers webhooks and media sockets as a
 * test says and keeps what it saw. Test helper only.
 */
import { type IncomingMessage, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface SeenWebhook {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly parameters: Readonly<Record<string, string>>;
}

export interface SeenSocket {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly socket: WebSocket;
  /** Every message from the phone, parsed. */
  readonly messages: { readonly event: string; readonly [key: string]: unknown }[];
  /** Resolves when the phone's `start` has come. */
  readonly started: Promise<void>;
  readonly closed: Promise<number>;
  readonly streamSid: () => string;
}

export interface PeerScript {
  /** Markup, or a status to refuse with. Called per webhook. */
  answer(webhook: SeenWebhook, peer: ScriptedPeer): string | number;
  /** @default accept; a status refuses the upgrade. */
  upgrade?(path: string): number | null;
  onSocket?(socket: SeenSocket): void;
}

export class ScriptedPeer {
  readonly webhooks: SeenWebhook[] = [];
  readonly sockets: SeenSocket[] = [];
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #script: PeerScript;

  static async listen(script: PeerScript): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(script);
    await new Promise<void>((resolve) => {
      peer.#server.listen(0, "127.0.0.1", resolve);
    });
    return peer;
  }

  private constructor(script: PeerScript) {
    this.#script = script;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const parameters = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
        const webhook = { path: request.url ?? "", headers: request.headers, parameters };
        this.webhooks.push(webhook);
        const answer = this.#script.answer(webhook, this);
        if (typeof answer === "number") response.writeHead(answer).end("no");
        else response.writeHead(200, { "content-type": "text/xml" }).end(answer);
      });
    });
    this.#server.on("upgrade", (request, socket, head) => {
      const refusal = this.#script.upgrade?.(request.url ?? "") ?? null;
      if (refusal !== null) {
        socket.end(`HTTP/1.1 ${refusal} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#accept(request, ws));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get wsUrl(): string {
    return `ws://localhost:${this.port}`;
  }

  /** Markup that connects a stream and then redirects. */
  connectMarkup(path: string, redirect = "/after"): string {
    return (
      `<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="${this.wsUrl}${path}">` +
      `<Parameter name="session" value="s-1"/></Stream></Connect><Redirect>${redirect}</Redirect></Response>`
    );
  }

  async close(): Promise<void> {
    for (const { socket } of this.sockets) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #accept(request: IncomingMessage, socket: WebSocket): void {
    let onStarted: () => void = () => {};
    const messages: SeenSocket["messages"] = [];
    const seen: SeenSocket = {
      path: request.url ?? "",
      headers: request.headers,
      socket,
      messages,
      started: new Promise((resolve) => {
        onStarted = resolve;
      }),
      closed: new Promise((resolve) => {
        socket.on("close", resolve);
      }),
      streamSid: () => {
        const start = messages.find((message) => message.event === "start")?.start;
        return (start as { streamSid: string }).streamSid;
      },
    };
    socket.on("message", (data) => {
      const message = JSON.parse((data as Buffer).toString()) as SeenSocket["messages"][number];
      messages.push(message);
      if (message.event === "start") onStarted();
    });
    this.sockets.push(seen);
    this.#script.onSocket?.(seen);
  }
}

/** What a node sends: audio and marks of one stream. */
export function sendMedia(socket: SeenSocket, audio: Uint8Array): void {
  const payload = Buffer.from(audio).toString("base64");
  socket.socket.send(JSON.stringify({ event: "media", streamSid: socket.streamSid(), media: { payload } }));
}

export function sendMark(socket: SeenSocket, name: string): void {
  socket.socket.send(JSON.stringify({ event: "mark", streamSid: socket.streamSid(), mark: { name } }));
}

export function sendClear(socket: SeenSocket): void {
  socket.socket.send(JSON.stringify({ event: "clear", streamSid: socket.streamSid() }));
}
