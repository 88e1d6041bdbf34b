/**
 * A kind of provider is gone: the caller hears so, and is asked for a message as long as that can be said and something
 * can be kept of it. Else he hears an apology, and the call ends. Taking the message is the MessageTaker's.
 *
 *   failure ──voice gone and the words not cached, or nobody to hear him and no room for audio──> apology, the end
 *      └────> offered ──heard──> taken (MessageTaker) ──> last words, the end
 */
import type { Clock } from "#runtime/actor";
import type { CallOutcome, CallStart } from "#runtime/cluster";
import type { ErrorCode } from "#runtime/errors";
import type { SttStream, TtsProvider, TtsRequest } from "#actors/providers";
import { type VoiceActivity, phrasesFor } from "#actors/speech";
import type { TenantConfig } from "#actors/tenants";
import type { CallCounters } from "./counters.js";
import type { JournalWriter } from "./journal-writer.js";
import type { Listener } from "./listener.js";
import type { MessageFile, MessageFiles } from "./message-files.js";
import { MessageTaker } from "./message-taker.js";
import type { SttFeed } from "./stt-feed.js";
import type { Turns } from "./turns.js";
import type { CachedSpeech, VoiceCache } from "./voice-cache.js";

export interface MessageOfferDeps {
  readonly turns: Pick<Turns, "close" | "sayLast">;
  readonly listener: Listener;
  readonly vad: VoiceActivity;
  readonly journal: JournalWriter;
  readonly stt: Pick<SttStream, "write" | "flush" | "nudge">;
  readonly feed: Pick<SttFeed, "redirect">;
  readonly guard: (body: () => void) => void;
  /** Last words, then the end. */
  readonly leave: (words: string, cut: "legEnded" | "failed", outcome: CallOutcome) => void;
  readonly hangUp: (outcome: CallOutcome) => void;
  readonly clock: Clock;
  readonly start: CallStart;
  readonly tenant: TenantConfig;
  readonly tts: Pick<TtsProvider, "name">;
  readonly ttsRequest: TtsRequest;
  readonly cache: Pick<VoiceCache, "get">;
  readonly messages: Pick<MessageFiles, "open">;
  readonly counters: Pick<CallCounters, "messageTaken">;
}

export class MessageOffer {
  readonly #deps: MessageOfferDeps;
  /** Set while (and after) the caller leaves a message. */
  #taker: MessageTaker | null = null;
  #isSttLost = false;

  constructor(deps: MessageOfferDeps) {
    this.#deps = deps;
  }

  /** It was offered: whatever fails from here on, the message is what is left. */
  get isMade(): boolean {
    return this.#taker !== null;
  }

  /** The recogniser is gone: what the caller says can be kept as audio alone. */
  sttLost(): void {
    this.#isSttLost = true;
    this.#taker?.sttLost();
  }

  /** A provider of this kind is gone. */
  make(code: ErrorCode): void {
    const { tenant, leave } = this.#deps;
    const { messageOffer, apology } = phrasesFor(tenant.language);
    const file = this.#openFile();
    const canSpeak = !code.startsWith("TTS_") || this.#isCached(messageOffer);
    const canKeep = file !== null || !this.#isSttLost;
    if (canSpeak && canKeep) return this.#take(code, [messageOffer], file, false);
    file?.discard();
    leave(apology.providerDown, "failed", { kind: "providerFailed", code });
  }

  /**
   * Another owner had asked for it: nobody is asked anything else, whoever is back meanwhile. `words`: of the offer those
   * that were not heard; `hasPart`: of the message a part is kept.
   */
  resume(code: string, words: readonly (string | CachedSpeech)[], hasPart: boolean): void {
    this.#take(code, words, this.#openFile(), hasPart);
  }

  onKey(): void {
    this.#taker?.onKey();
  }

  /** The call ends here; `more`: another owner goes on with it. */
  close(more = false): void {
    this.#taker?.close(more);
  }

  #take(
    code: string,
    words: readonly (string | CachedSpeech)[],
    file: MessageFile | null,
    hasPart: boolean,
  ): void {
    const { turns, hangUp, journal, stt, feed } = this.#deps;
    journal.record({ kind: "messageOffered", code, audioFile: file?.name ?? null });
    const outcome: CallOutcome = { kind: "providerFailed", code };
    const taker = this.#newTaker(outcome, file, hasPart);
    this.#taker = taker;
    feed.redirect({
      write: (audio, speech) => {
        taker.write(audio);
        stt.write(audio, speech);
      },
      flush: () => stt.flush(),
      nudge: () => stt.nudge(),
    });
    if (words.length === 0) {
      turns.close("legEnded");
      taker.listen();
      return;
    }
    turns.sayLast(
      words,
      "failed",
      () => taker.listen(),
      () => hangUp(outcome),
    );
  }

  #newTaker(outcome: CallOutcome, file: MessageFile | null, hasPart: boolean): MessageTaker {
    const { clock, vad, listener, journal, guard, turns, tenant, counters, leave } = this.#deps;
    const { messagePrompt, messageThanks, silenceGoodbye, apology } = phrasesFor(tenant.language);
    const last = { taken: messageThanks, nothing: silenceGoodbye, lost: apology.providerDown };
    return new MessageTaker(
      {
        clock,
        vad,
        listener,
        journal,
        file,
        hasPart,
        prompt: (after) => turns.sayLast([messagePrompt], "legEnded", after),
        onOver: (what) => leave(last[what], "legEnded", outcome),
        count: (kind) => counters.messageTaken(kind),
        guard,
      },
      !this.#isSttLost,
    );
  }

  #openFile(): MessageFile | null {
    const { tenant, start, messages, journal } = this.#deps;
    return messages.open(tenant.id, start.callId, start.epoch, journal.nextSequence, start.format);
  }

  #isCached(text: string): boolean {
    const { cache, tts, ttsRequest } = this.#deps;
    return cache.get({ provider: tts.name, ...ttsRequest }, text) !== null;
  }
}
