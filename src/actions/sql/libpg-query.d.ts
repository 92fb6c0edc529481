declare module "libpg-query/wasm/libpg-query.js" {
  const create: (options: object) => Promise<object>;
  export default create;
}

declare module "libpg-query/wasm/libpg-query.wasm" {
  const path: string;
  export default path;
}
