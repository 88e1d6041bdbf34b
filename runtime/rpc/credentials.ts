/**
 * Who may speak in clear text: both ends of a loopback connection, and nobody else unless told so (`--insecure`,
 * LUMENTRA_INSECURE). One rule for servers and clients.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type SecureContextOptions, createSecureContext } from "node:tls";
import { type ChannelCredentials, ServerCredentials, credentials } from "@grpc/grpc-js";
import { LumentraError } from "#runtime/errors";

/** How soon a renewed certificate is seen. Certificates are renewed days before they expire. */
const CERTIFICATE_REFRESH_MS = 60_000;

export interface ServerSecurity {
  /** What the server binds. */
  readonly host: string;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** Set: every client must show a certificate of this authority. */
  readonly clientCaFile?: string | undefined;
  readonly insecure: boolean;
}

export interface ClientSecurity {
  /** The authority of the server's certificate. @default the system's */
  readonly caFile?: string | undefined;
  /** Our own certificate and key, where the server wants one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly insecure: boolean;
}

/** @throws LumentraError TLS_REQUIRED, or SETTING_INVALID when a file is missing or cannot be read. */
export function serverCredentials(security: ServerSecurity): ServerCredentials {
  const { host, certFile, keyFile, clientCaFile, insecure } = security;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new LumentraError("SETTING_INVALID", "a certificate and its key are given together, or neither is");
  }
  if (certFile === undefined || keyFile === undefined) {
    if (clientCaFile !== undefined) {
      throw new LumentraError(
        "SETTING_INVALID",
        "clients' certificates need the server's own certificate and key",
      );
    }
    if (!insecure && !isLoopbackHost(host)) throw tlsRequired(`listening on ${host}`);
    return ServerCredentials.createInsecure();
  }
  return new FileServerCredentials(certFile, keyFile, clientCaFile);
}

/**
 * TLS from files, loaded before the first connection and read again while the server listens. gRPC's own file watcher
 * loads them later, and drops the connections that come before.
 */
class FileServerCredentials extends ServerCredentials {
  readonly #read: () => SecureContextOptions;
  #timer: NodeJS.Timeout | null = null;

  constructor(certFile: string, keyFile: string, clientCaFile: string | undefined) {
    const read = (): SecureContextOptions => ({
      cert: readPem(certFile),
      key: readPem(keyFile),
      ...(clientCaFile === undefined ? {} : { ca: readPem(clientCaFile) }),
    });
    super({ requestCert: clientCaFile !== undefined, minVersion: "TLSv1.2" }, read());
    this.#read = read;
  }

  override _addWatcher(watcher: (context: SecureContextOptions | null) => void): void {
    super._addWatcher(watcher);
    this.#timer ??= setInterval(() => this.refresh(), CERTIFICATE_REFRESH_MS).unref();
  }

  override _removeWatcher(watcher: (context: SecureContextOptions | null) => void): void {
    super._removeWatcher(watcher);
    if (this.getWatcherCount() > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }

  /** For connections from now on. Half a pair (between two writes) is left for the next look. */
  refresh(): void {
    try {
      const options = this.#read();
      createSecureContext(options);
      this.updateSecureContextOptions(options);
    } catch {
      // The certificate in force stays; a file that is gone for good shows when it expires, in every client.
    }
  }
}

/** Where a client connects, and how. */
export interface Target {
  /** As gRPC wants it: "dns:///control.example:443", "ipv4:10.0.0.1:50051,10.0.0.2:50051". */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly isSecure: boolean;
}

/**
 * Reads "host:port", "https://host:port" (TLS whatever the host) or "http://host:port" (never TLS); several addresses
 * of IPs may be given, comma separated, of which one that answers is used. Without a scheme: clear text on loopback or
 * when insecure, else TLS.
 * @throws LumentraError TLS_REQUIRED, SETTING_INVALID
 */
export function parseTarget(text: string, security: ClientSecurity): Target {
  const places = text.split(",").map((part) => parsePlace(part.trim()));
  const isLoopback = places.every(({ host }) => isLoopbackHost(host));
  const schemes = new Set(places.map(({ scheme }) => scheme));
  const [scheme] = schemes;
  if (schemes.size > 1) throw new LumentraError("SETTING_INVALID", `${text} mixes http and https`);
  const wantsTls = scheme === "https:" || security.caFile !== undefined || security.certFile !== undefined;
  const isSecure = wantsTls || (scheme !== "http:" && !isLoopback && !security.insecure);
  if (!isSecure && !isLoopback && !security.insecure) throw tlsRequired(`connecting to ${text}`);
  return {
    address: addressOf(text, places),
    credentials: isSecure ? clientTls(security) : credentials.createInsecure(),
    isSecure,
  };
}

interface Place {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

function parsePlace(text: string): Place {
  const hasScheme = /^https?:\/\//.test(text);
  const url = URL.canParse(hasScheme ? text : `grpc://${text}`)
    ? new URL(hasScheme ? text : `grpc://${text}`)
    : null;
  if (url === null || url.hostname === "" || (url.pathname !== "/" && url.pathname !== "")) {
    throw new LumentraError(
      "SETTING_INVALID",
      `"${text}" is not a host and port, such as control.example:50051`,
    );
  }
  const fallback = url.protocol === "https:" ? 443 : url.protocol === "http:" ? 80 : 50_051;
  return {
    scheme: hasScheme ? url.protocol : "",
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? fallback : Number(url.port),
  };
}

function addressOf(text: string, places: readonly Place[]): string {
  const [first] = places;
  if (places.length === 1 && first !== undefined && isIP(first.host) === 0) {
    return `dns:///${first.host}:${first.port}`;
  }
  const families = new Set(places.map(({ host }) => isIP(host)));
  if (families.size !== 1 || families.has(0)) {
    throw new LumentraError(
      "SETTING_INVALID",
      `${text}: several addresses must be IPs of one family; or give one name that resolves to all of them`,
    );
  }
  const isV6 = families.has(6);
  const list = places.map(({ host, port }) => (isV6 ? `[${host}]:${port}` : `${host}:${port}`));
  return `${isV6 ? "ipv6" : "ipv4"}:${list.join(",")}`;
}

function clientTls({ caFile, certFile, keyFile }: ClientSecurity): ChannelCredentials {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new LumentraError("SETTING_INVALID", "a certificate and its key are given together, or neither is");
  }
  const pem = (file: string | undefined): Buffer | null => (file === undefined ? null : readPem(file));
  return credentials.createSsl(pem(caFile), pem(keyFile), pem(certFile));
}

/** Names and addresses of this machine alone. */
function isLoopbackHost(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

function tlsRequired(what: string): LumentraError {
  return new LumentraError(
    "TLS_REQUIRED",
    `${what} needs TLS: give certificate files, or allow clear text with --insecure (LUMENTRA_INSECURE=true)`,
  );
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new LumentraError("SETTING_INVALID", `${file} cannot be read`, { cause });
  }
}
