import { extname } from "node:path";
import { unavailable } from "../errors.ts";
import { dotenv } from "./dotenv.ts";
import { json } from "./json.ts";
import type { Plain, SopsText, Splice } from "./tree.ts";
import { yaml } from "./yaml.ts";

/** One of the file formats that SOPS reads and writes. Changes are splices: the rest of the text stays as it was. */
export interface SopsFormat {
  readonly name: "yaml" | "json" | "dotenv";
  /** Reads a file; an attacker may have written it. Throws `secrets_damaged`, never with text of the file. */
  read(text: string): SopsText;
  /** A string as it stands in the place of a scalar. */
  scalar(text: string): string;
  /** Adds a value at a path whose last key is not there yet; maps on the way are made. */
  insert(file: SopsText, path: readonly string[], value: string): Splice;
  /** Takes the pair at a path away; null when there is none. */
  remove(file: SopsText, path: readonly string[]): Splice | null;
  /** Replaces the metadata, in each document that has it. */
  describe(file: SopsText, metadata: { readonly [name: string]: Plain }): Splice[];
  /** A file without data. */
  empty(metadata: { readonly [name: string]: Plain }): string;
}

/** The format that a file's name says; `sops` goes by the same endings. Throws `secrets_unavailable`. */
export function formatOf(path: string): SopsFormat {
  switch (extname(path).toLowerCase()) {
    case ".yaml":
    case ".yml":
      return yaml;
    case ".json":
      return json;
    case ".env":
      return dotenv;
    default:
      throw unavailable("the secrets file has no known ending", "name it .yaml, .json or .env");
  }
}
