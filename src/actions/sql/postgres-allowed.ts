/**
 * What a statement may be made of. A list of what is known to be harmless, so that a new kind of node, function or type
 * is refused until somebody has looked at it.
 */

/** Nodes of the parse tree that only read. Statements, functions, types and tables are judged by themselves. */
export const NODES: ReadonlySet<string> = new Set([
  "A_ArrayExpr",
  "A_Const",
  "A_Expr",
  "A_Indices",
  "A_Indirection",
  "A_Star",
  "BoolExpr",
  "BooleanTest",
  "CaseExpr",
  "CaseWhen",
  "CoalesceExpr",
  "CollateClause",
  "ColumnRef",
  "FuncCall",
  "GroupingFunc",
  "GroupingSet",
  "IndexElem",
  "Integer",
  "JoinExpr",
  "List",
  "MinMaxExpr",
  "MultiAssignRef",
  "NullTest",
  "ParamRef",
  "RangeFunction",
  "RangeSubselect",
  "RangeVar",
  "ResTarget",
  "RowExpr",
  "SQLValueFunction",
  "SetToDefault",
  "SortBy",
  "String",
  "SubLink",
  "TypeCast",
  "WindowDef",
]);

/** Members that hold a structure without the name of its node. */
export const FIELDS: ReadonlySet<string> = new Set([
  "alias",
  "boolval",
  "bsval",
  "fval",
  "infer",
  "ival",
  "onConflictClause",
  "over",
  "returningClause",
  "sval",
  "typeName",
]);

/** Functions of pg_catalog that neither change anything nor tell of the server, its files or its sessions. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  `abs age array_agg array_append array_length array_position array_remove array_to_json array_to_string avg bit_and
  bit_or bool_and bool_or btrim cardinality ceil ceiling char_length character_length chr clock_timestamp concat
  concat_ws corr count cume_dist date_bin date_part date_trunc decode degrees dense_rank div encode every exp extract
  factorial first_value floor format gcd generate_series generate_subscripts greatest initcap isfinite json_agg
  json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
  json_each_text json_extract_path json_extract_path_text json_object_agg json_object_keys json_typeof jsonb_agg
  jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
  jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_set
  jsonb_strip_nulls jsonb_typeof justify_days justify_hours justify_interval lag last_value lcm lead least left length
  ln log log10 lower lpad ltrim make_date make_interval make_time make_timestamp make_timestamptz max md5 min mod mode
  now nth_value ntile nullif numnode octet_length overlay percent_rank percentile_cont percentile_disc pi position power
  radians rank regexp_count regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
  regexp_split_to_table regexp_substr repeat replace reverse right round row_number row_to_json rpad rtrim sha224 sha256
  sha384 sha512 sign split_part sqrt starts_with stddev stddev_pop stddev_samp string_agg string_to_array
  string_to_table strpos substr substring sum timezone to_char to_date to_json to_jsonb to_number to_timestamp
  to_tsquery to_tsvector translate trim trunc ts_headline ts_rank ts_rank_cd unnest upper uuid_in var_pop var_samp
  variance websearch_to_tsquery plainto_tsquery phraseto_tsquery width_bucket like_escape similar_to_escape overlaps
  transaction_timestamp statement_timestamp gen_random_uuid lower_inc upper_inc lower_inf upper_inf isempty`.split(
    /\s+/,
  ),
);

/** Types of pg_catalog that a value may be cast to; none of the `reg…` ones, which read the catalogue. */
export const TYPES: ReadonlySet<string> = new Set(
  `bit bool boolean bpchar bytea char cidr citext date daterange decimal float4 float8 inet int int2 int4 int4range int8
  int8range integer interval json jsonb macaddr macaddr8 money name numeric numrange point real serial smallint bigint
  text time timestamp timestamptz timetz tsquery tsrange tstzrange tsvector uuid varbit varchar`.split(/\s+/),
);
