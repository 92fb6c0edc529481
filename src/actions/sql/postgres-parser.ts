import { readFileSync } from "node:fs";
import createModule from "libpg-query/wasm/libpg-query.js";
import wasmPath from "libpg-query/wasm/libpg-query.wasm" with { type: "file" };
import type { Json } from "../../core/json.ts";

/** What is used of libpg-query's module: PostgreSQL's own parser, compiled to wasm. */
interface PgQuery {
  lengthBytesUTF8(text: string): number;
  stringToUTF8(text: string, ptr: number, size: number): void;
  UTF8ToString(ptr: number): string;
  getValue(ptr: number, type: "i32"): number;
  _malloc(size: number): number;
  _free(ptr: number): void;
  _wasm_parse_query_raw(query: number): number;
  _wasm_free_parse_result(result: number): void;
}

/** The statement is not SQL that PostgreSQL's grammar takes. */
export class SqlSyntaxError extends Error {}

let loading: Promise<void> | null = null;
let parser: PgQuery | null = null;

/** Loads the parser once; about 25 ms. To be awaited before {@link parsePostgres}. */
export function loadPostgresParser(): Promise<void> {
  loading ??= (async () => {
    const wasm = await WebAssembly.compile(readFileSync(wasmPath));
    // The module would otherwise look for its code beside a source file that a compiled binary does not have.
    const instantiateWasm = (
      imports: Bun.WebAssembly.Imports,
      done: (instance: WebAssembly.Instance) => void,
    ): object => {
      void WebAssembly.instantiate(wasm, imports).then(done);
      return {};
    };
    parser = (await createModule({ instantiateWasm })) as PgQuery; // the module's documented functions
  })();
  return loading;
}

/**
 * The parse tree of a text without NUL, as libpg-query writes it: `{version, stmts: [{stmt}]}`. Throws
 * {@link SqlSyntaxError}; anything else means that the parser is broken, and it must be loaded again.
 */
export function parsePostgres(text: string): Json {
  const pg = parser;
  if (pg === null) throw new Error("the parser is not loaded");
  try {
    return parseWith(pg, text);
  } catch (thrown) {
    if (!(thrown instanceof SqlSyntaxError)) {
      // A trap leaves the parser's memory in an unknown state: nothing is parsed until a fresh one is there.
      parser = null;
      loading = null;
      void loadPostgresParser();
    }
    throw thrown;
  }
}

/** Layout of `PgQueryParseResult`: parse tree, stderr, error; the first member of an error is its message. */
function parseWith(pg: PgQuery, text: string): Json {
  const size = pg.lengthBytesUTF8(text) + 1;
  const query = pg._malloc(size);
  pg.stringToUTF8(text, query, size);
  const result = pg._wasm_parse_query_raw(query);
  pg._free(query);
  if (result === 0) throw new Error("the parser ran out of memory");
  try {
    if (pg.getValue(result + 8, "i32") !== 0)
      throw new SqlSyntaxError("not one statement of PostgreSQL's grammar");
    return JSON.parse(pg.UTF8ToString(pg.getValue(result, "i32"))) as Json; // written by the parser
  } finally {
    pg._wasm_free_parse_result(result);
  }
}
