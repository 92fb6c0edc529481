/** `import path from "x.wasm" with { type: "file" }`: the path of the file, also inside a compiled binary. */
declare module "*.wasm" {
  const path: string;
  export default path;
}
