/** The emscripten build of eSpeak NG ships without types; this is the part we use. */
declare module "espeak-ng" {
  interface EspeakModule {
    readonly FS: {
      writeFile(path: string, data: string): void;
      readFile(path: string): Uint8Array;
      unlink(path: string): void;
      analyzePath(path: string): { readonly exists: boolean };
    };
  }
  interface EspeakModuleOptions {
    readonly noInitialRun: boolean;
    print(line: string): void;
    printErr(line: string): void;
    /** Returns at once; `done` is called with the instance. */
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void): object;
  }
  export default function load(options: EspeakModuleOptions): Promise<EspeakModule>;
}
