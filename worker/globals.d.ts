// What the Worker's modules find in their scope beside the platform's own: read by make lint alone.
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
declare module "*.txt" {
  const text: string;
  export default text;
}
declare class Go {
  importObject: any;
  mem: DataView;
  exited: boolean;
  run(instance: WebAssembly.Instance, context?: object): Promise<void>;
}
declare const scheduler: { wait(ms: number, options?: { signal?: AbortSignal }): Promise<void> };
