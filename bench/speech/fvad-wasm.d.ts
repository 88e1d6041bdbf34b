/** The WebRTC voice-activity detector in WebAssembly ships without types; this is the part tests use. */
declare module "@echogarden/fvad-wasm" {
  interface FvadModule {
    readonly HEAP16: Int16Array;
    _malloc(bytes: number): number;
    _free(pointer: number): void;
    _fvad_new(): number;
    _fvad_free(detector: number): void;
    /** 0 (lenient) to 3 (strict); −1 on error. */
    _fvad_set_mode(detector: number, mode: number): number;
    _fvad_set_sample_rate(detector: number, sampleRateHz: number): number;
    /** 10, 20 or 30 ms of samples: 1 speech, 0 none, −1 on error. */
    _fvad_process(detector: number, samples: number, sampleCount: number): number;
  }
  export default function load(): Promise<FvadModule>;
}
