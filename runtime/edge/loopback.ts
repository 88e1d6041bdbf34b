/** Who may come unsigned when no key is configured: somebody on this machine, and nobody through a proxy on it. */
import type { HttpExchange } from "./http-exchange.js";

/** What tunnels and reverse proxies add. Behind one, every peer's address is loopback. */
const FORWARDED_HEADERS = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/** Only before the handler returns: it reads headers. */
export function isLoopback(exchange: Pick<HttpExchange, "header" | "remoteAddress">): boolean {
  if (FORWARDED_HEADERS.some((name) => exchange.header(name) !== "")) return false;
  return isLoopbackAddress(exchange.remoteAddress());
}

/** uWebSockets.js writes IPv6 in full: `0000:…:0001`, and IPv4 within it as `…:ffff:7f00:0001`. */
function isLoopbackAddress(address: string): boolean {
  return (
    /^127(\.\d{1,3}){3}$/.test(address) ||
    /^(0{1,4}:){7}0{0,3}1$/.test(address) ||
    address === "::1" ||
    /^(0{1,4}:){5}ffff:7f[0-9a-f]{2}:[0-9a-f]{4}$/i.test(address)
  );
}
