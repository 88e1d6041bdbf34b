/** Node has WebAssembly; its types come with the DOM's, which we do not load. This is the part we use. */
declare namespace WebAssembly {
  class Module {
    readonly brand: "module";
  }
  class Memory {
    readonly buffer: ArrayBuffer;
  }
  type Imports = Record<string, Record<string, unknown>>;
  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Record<string, unknown>;
  }
  function compile(bytes: Uint8Array): Promise<Module>;
}
