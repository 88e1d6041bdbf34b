/**
 * What the services have in common: checks of fields, pages, request ids.
 *
 * Page tokens are the key of the last row, sealed (HMAC) together with the query they belong to: a token of ours for
 * another query, or of another caller's scope, is none.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { LumentraError } from "#runtime/errors";
import { type FieldViolation, violated } from "#runtime/rpc";
import type { Caller } from "../server/caller.js";
import type { PageRequest, StoreTransaction } from "../store/store.js";

export const PAGE_SIZE_MAX = 500;
const PAGE_SIZE = 50;
const REQUEST_ID_MAX_CHARS = 64;
const SEAL_BYTES = 16;
/** Longer ones are not ours: the longest key of a row is an id and an instant. */
const TOKEN_MAX_CHARS = 1_024;

export class PageTokens {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Empty on the last page. */
  seal(query: string, next: readonly string[] | null): string {
    if (next === null) return "";
    const payload = Buffer.from(JSON.stringify(next), "utf8");
    return Buffer.concat([this.#seal(query, payload), payload]).toString("base64url");
  }

  /** @throws LumentraError PAGE_TOKEN_INVALID */
  open(query: string, token: string): readonly string[] | null {
    if (token === "") return null;
    const bytes = token.length > TOKEN_MAX_CHARS ? Buffer.alloc(0) : Buffer.from(token, "base64url");
    const payload = bytes.subarray(SEAL_BYTES);
    if (
      bytes.length <= SEAL_BYTES ||
      !timingSafeEqual(bytes.subarray(0, SEAL_BYTES), this.#seal(query, payload))
    ) {
      throw new LumentraError(
        "PAGE_TOKEN_INVALID",
        "the token is not one of ours, or belongs to another query",
      );
    }
    return JSON.parse(payload.toString("utf8")) as string[];
  }

  #seal(query: string, payload: Buffer): Buffer {
    const seal = createHmac("sha256", this.#key).update(query).update("\0").update(payload).digest();
    return seal.subarray(0, SEAL_BYTES);
  }
}

/** What a list is asked for besides its filters. */
interface Paged {
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface OpenedPage extends PageRequest {
  /** For the answer. */
  readonly seal: (next: readonly string[] | null) => string;
}

/**
 * @param filters whatever a page token must belong to
 * @throws LumentraError REQUEST_INVALID, PAGE_TOKEN_INVALID
 */
export function openPage(
  tokens: PageTokens,
  caller: Caller,
  rpc: string,
  { pageSize, pageToken }: Paged,
  filters: Readonly<Record<string, unknown>> = {},
  bounds: { readonly fallback: number; readonly max: number } = { fallback: PAGE_SIZE, max: PAGE_SIZE_MAX },
): OpenedPage {
  if (pageSize > bounds.max) {
    throw violated([{ field: "page_size", description: `must be 1 to ${bounds.max}` }]);
  }
  const query = JSON.stringify([rpc, caller.scope, filters]);
  return {
    size: pageSize || bounds.fallback,
    after: tokens.open(query, pageToken),
    seal: (next) => tokens.seal(query, next),
  };
}

/**
 * The answer to a request with this id, made once: a repeat within a day gets what was remembered.
 * @param remembered what of the answer may be kept; a key in clear may not
 * @throws LumentraError REQUEST_ID_REUSED, REQUEST_INVALID
 */
export async function once<Answer extends object>(
  tx: StoreTransaction,
  caller: Caller,
  rpc: string,
  request: { readonly requestId: string },
  work: () => Promise<Answer>,
  remembered: (answer: Answer) => object = (answer) => answer,
): Promise<Answer> {
  const { requestId, ...rest } = request;
  if (requestId === "") return work();
  if (requestId.length > REQUEST_ID_MAX_CHARS) {
    throw violated([
      { field: "request_id", description: `must have at most ${REQUEST_ID_MAX_CHARS} characters` },
    ]);
  }
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([rpc, rest]))
    .digest("base64url");
  const past = await tx.requests.recall(caller.actor, requestId, fingerprint);
  if (past === "reused") {
    throw new LumentraError("REQUEST_ID_REUSED", "this request id was used for a different request");
  }
  if (past !== null) return past.answer as Answer;
  const answer = await work();
  await tx.requests.remember(caller.actor, requestId, fingerprint, remembered(answer));
  return answer;
}

/** Collects what is wrong with a request, to say all of it at once. */
export class Checks {
  readonly #violations: FieldViolation[] = [];

  require(isRight: boolean, field: string, description: string): void {
    if (!isRight) this.#violations.push({ field, description });
  }

  text(value: string, field: string, min: number, max: number): void {
    const isRight = value.length >= min && value.length <= max && !value.includes("\0");
    this.require(
      isRight,
      field,
      min === 0 ? `must have at most ${max} characters` : `must have ${min} to ${max} characters`,
    );
  }

  id(value: string, field: string): void {
    this.require(
      /^[a-z0-9][a-z0-9-]{0,62}$/.test(value),
      field,
      "must be lower-case letters, digits and dashes, 1 to 63 of them",
    );
  }

  /** @throws LumentraError REQUEST_INVALID when anything was wrong */
  done(): void {
    if (this.#violations.length > 0) throw violated(this.#violations);
  }
}

export function notFound(what: string): LumentraError {
  return new LumentraError("NOT_FOUND", `there is no such ${what}`);
}

/** Of `Updated`: the row, or the error that it stands for. @throws LumentraError NOT_FOUND, ETAG_MISMATCH */
export function updated<Row>(result: Row | false | null, what: string): Row {
  if (result === null) throw notFound(what);
  if (result === false) {
    throw new LumentraError("ETAG_MISMATCH", `the ${what} was changed by somebody else since it was read`);
  }
  return result;
}

/** Races that are tried again: whoever gave no etag does not care who came in between. */
const RACES_MAX = 5;

/** Reads, changes, writes; again when somebody came in between and the client gave no etag. */
export async function withoutRaces<Result>(etag: string, work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const isRace = error instanceof LumentraError && error.code === "ETAG_MISMATCH" && etag === "";
      if (!isRace || attempt === RACES_MAX) throw error;
    }
  }
}
