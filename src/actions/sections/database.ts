import { z } from "zod";
import { PARAMETER_KINDS } from "../../core/plan/database.ts";
import { PARAMETER_NAME } from "../names.ts";
import { closed, matching, parameter, whole } from "../schema-parts.ts";
import { LONGEST_STATEMENT } from "../sql/statement.ts";

/** Longest list of tables or functions. */
const MOST_NAMES = 128;

const statementParameter = closed({
  $param: matching(PARAMETER_NAME, "must be the name of a parameter"),
  as: z
    .enum(PARAMETER_KINDS)
    .exclude(["null"])
    .optional()
    .describe("How the database gets it; by its JSON type when absent."),
});

const tableName = matching(
  /^[A-Za-z_][A-Za-z0-9_$]{0,62}(?:\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$/,
  "must be a table, or schema.table",
);

/** The section `database` of a manifest. */
export const databaseSection = closed({
  connection: matching(/^[a-z][a-z0-9_-]{0,63}$/, "must be the name of a [[connections.database]] entry"),
  engine: z
    .enum(["postgresql", "sqlite"])
    .optional()
    .describe("For a fixed statement, postgresql when absent; otherwise that of the connection."),
  access: z.enum(["read", "write"]),
  mode: z
    .enum(["fixed", "parameterized"])
    .default("fixed")
    .describe("fixed: the statement stands here. parameterized: the agent writes it."),
  statement: z
    .union([z.string().min(1).max(LONGEST_STATEMENT), parameter], { error: "must be text or {$param: name}" })
    .describe("One statement; $1, $2 … stand for the parameters."),
  parameters: z
    .union([z.array(statementParameter).max(64), parameter], {
      error: "must be a list of {$param: name, as}, or {$param: name} of a list",
    })
    .default([]),
  tables: z
    .array(tableName)
    .min(1)
    .max(MOST_NAMES)
    .optional()
    .describe("The tables that it may name; those of the connection when absent."),
  functions: z
    .array(
      matching(
        /^[a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?$/,
        "must be a function, or schema.function",
      ),
    )
    .max(MOST_NAMES)
    .default([])
    .describe("Functions beside the harmless ones that it may call."),
  max_rows: whole(1, 10_000).default(100).describe("More rows than that are an error, and none comes back."),
  max_affected: whole(0, 100_000)
    .optional()
    .describe("For write, 1 when absent: when more rows would be changed, none is."),
}).describe("One statement on a database of the configuration.");
