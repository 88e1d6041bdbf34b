/**
 * eSpeak NG in WebAssembly, as a function: text in, 22.05 kHz samples out, synchronously.
 *
 * The package holds the command-line program, made to run once and exit. Compiling it takes longest and
 * starting it a fresh 60 ms each time, so one instance is kept, its memory as it was before `main` saved,
 * and `main` called again on that memory for every text: 10 to 30 ms. Its file system is JavaScript and
 * outlives that; the files we use are removed.
 *
 * eSpeak NG is GPL: a development dependency, imported when a spoken voice is asked for, and by nothing
 * that is deployed.
 */
import { Buffer } from "node:buffer";
import { readFile } from "node:fs/promises";
import type { EspeakModule } from "espeak-ng";
import { decodeWav } from "./wav.js";

export const ESPEAK_RATE_HZ = 22_050;

const TEXT_FILE = "text";
const WAV_FILE = "speech.wav";
const NO_SAMPLES = new Int16Array(0);

interface EspeakExports {
  readonly memory: WebAssembly.Memory;
  stackSave(): number;
  stackRestore(pointer: number): void;
  stackAlloc(bytes: number): number;
  __main_argc_argv(argc: number, argv: number): number;
}

export interface EspeakSettings {
  /** eSpeak's name for it, with a variant: `en-us+f3`. */
  readonly voice: string;
  readonly wordsPerMinute: number;
  /** Silence put between words, in tens of milliseconds. */
  readonly wordGap: number;
}

export class Espeak {
  readonly #module: EspeakModule;
  readonly #exports: EspeakExports;
  readonly #pristine: Uint8Array;
  readonly #stack: number;
  readonly #messages: string[];

  private constructor(module: EspeakModule, exports: EspeakExports, messages: string[]) {
    this.#module = module;
    this.#exports = exports;
    this.#messages = messages;
    this.#pristine = new Uint8Array(exports.memory.buffer).slice();
    this.#stack = exports.stackSave();
  }

  static async load(): Promise<Espeak> {
    const { default: load } = await import("espeak-ng");
    const wasm = new URL("espeak-ng.wasm", import.meta.resolve("espeak-ng"));
    const compiled = await WebAssembly.compile(await readFile(wasm));
    const messages: string[] = [];
    let exports: EspeakExports | null = null;
    const module = await load({
      noInitialRun: true,
      print: () => {},
      printErr: (line) => messages.push(line),
      instantiateWasm: (imports, done) => {
        const instance = new WebAssembly.Instance(compiled, imports);
        exports = instance.exports as unknown as EspeakExports;
        done(instance);
        return instance.exports;
      },
    });
    return new Espeak(module, exports!, messages);
  }

  /** Empty when there is nothing to say in it. Throws with eSpeak's own words when a voice is unknown. */
  speak(text: string, settings: EspeakSettings): Int16Array {
    const { FS } = this.#module;
    // Through a file, so that no text is taken for an option; and "[[" would begin phoneme codes.
    FS.writeFile(TEXT_FILE, text.replaceAll("[[", "[ ["));
    try {
      const { voice, wordsPerMinute, wordGap } = settings;
      const files = ["-b", "1", "-f", TEXT_FILE, "-w", WAV_FILE];
      this.#main([...files, "-v", voice, "-s", String(wordsPerMinute), "-g", String(wordGap)]);
      if (!FS.analyzePath(WAV_FILE).exists) {
        const message = this.#messages[0];
        if (message === undefined) return NO_SAMPLES;
        throw new Error(`eSpeak NG cannot speak with voice "${voice}" (${message})`);
      }
      return decodeWav(FS.readFile(WAV_FILE)).channels[0]!;
    } finally {
      this.#messages.length = 0;
      for (const file of [TEXT_FILE, WAV_FILE]) if (FS.analyzePath(file).exists) FS.unlink(file);
    }
  }

  #main(options: readonly string[]): void {
    const wasm = this.#exports;
    const memory = wasm.memory.buffer;
    new Uint8Array(memory).set(this.#pristine);
    wasm.stackRestore(this.#stack);
    const pointers = ["espeak-ng", ...options].map((option) => {
      const bytes = Buffer.from(`${option}\0`);
      const pointer = wasm.stackAlloc(bytes.length);
      new Uint8Array(memory).set(bytes, pointer);
      return pointer;
    });
    const argv = wasm.stackAlloc((pointers.length + 1) * 4);
    new Uint32Array(memory).set([...pointers, 0], argv / 4);
    const { exitCode } = process;
    try {
      wasm.__main_argc_argv(pointers.length, argv);
    } catch (error) {
      // How emscripten leaves a program that calls exit().
      if ((error as { name?: unknown }).name !== "ExitStatus") throw error;
    } finally {
      // It takes the program's exit for ours.
      process.exitCode = exitCode;
    }
  }
}
