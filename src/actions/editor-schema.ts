import { z } from "zod";
import type { JsonObject } from "../core/json.ts";
import { manifestSchema } from "./manifest-schema.ts";
import { jsonSchema } from "./schema-parts.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/**
 * The JSON Schema of a manifest, for editors. It describes the shape; the rules between members are checked when
 * a manifest is loaded.
 */
export function schemaForEditors(): JsonObject {
  const schema = z.toJSONSchema(manifestSchema, {
    io: "input",
    override: ({ zodSchema, jsonSchema: made }) => {
      if (zodSchema !== jsonSchema) return;
      for (const key of Object.keys(made)) Reflect.deleteProperty(made, key);
      made.$ref = DIALECT;
    },
  });
  // zod also puts its own marker on the object; what is left after a round trip is plain JSON.
  const plain = JSON.parse(JSON.stringify(schema)) as JsonObject; // an object was stringified
  return { ...plain, title: "LatchGate action manifest", description: "One action, format latchgate/v1." };
}
