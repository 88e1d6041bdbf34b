/**
 * The plain agent as a process: one HTTP server for webhooks and media sockets, all calls on its one thread. Prints
 * `{"event":"listening","port":…}` when it serves.
 *
 * A number of its own (`BLOCKING_CALLER`) stands for the one call whose tool computes: while it is up the thread is
 * blocked for BLOCK_MS every BLOCK_EVERY_MS.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Groq from "groq-sdk";
import { WebSocketServer } from "ws";
import { blockWhileUp, isBlockingCaller } from "./blocking.js";
import { BaselineCall } from "./call.js";
import { baselineSettings } from "./settings.js";

const settings = baselineSettings(process.env);
const groq = new Groq({ apiKey: settings.groq.apiKey, baseURL: settings.groq.url });

const server = createServer((request, response) => {
  let body = "";
  request.on("data", (piece: Buffer) => (body += piece.toString()));
  request.on("end", () => {
    response.setHeader("content-type", "text/xml");
    if (!request.url?.endsWith("/voice")) return response.end("<Response/>");
    const from = new URLSearchParams(body).get("From") ?? "";
    const url = `ws://${request.headers.host ?? ""}/media/${encodeURIComponent(from)}`;
    return response.end(`<Response><Connect><Stream url="${url}"/></Connect></Response>`);
  });
});

const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket, request) => {
  if (isBlockingCaller(decodeURIComponent(request.url ?? ""))) socket.once("close", blockWhileUp());
  new BaselineCall(socket, groq, settings).begin();
});

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ event: "listening", port }));
});
process.on("SIGTERM", () => process.exit(0));
