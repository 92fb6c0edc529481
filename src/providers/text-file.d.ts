/** `import text from "x.wit" with { type: "text" }`: the content of the file, also inside a compiled binary. */
declare module "*.wit" {
  const text: string;
  export default text;
}
