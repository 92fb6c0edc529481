# The input's contract: every member of src/policy/contract.ts is there and of its type, and no other is.
# `malformed` names the members that are not as they should be.
package latchgate.contract

malformed contains "input" if not object_given

object_given if is_object(input)

malformed contains concat(".", path) if {
	some part, names in known
	some name, _ in part_of_input[part]
	not name in names
	path := [step | some step in [part, name]; step != ""]
}

malformed contains concat(".", path) if {
	some path in text_members
	not text(object.get(input, path, null))
}

malformed contains concat(".", path) if {
	some path in list_members
	not text_list(object.get(input, path, null))
}

# The wildcard is an entry of the ACL, nobody's name.
malformed contains "principal" if input.principal == "*"

malformed contains concat(".", path) if {
	some [path, words] in word_members
	not object.get(input, path, null) in words
}

malformed contains "plan.port" if {
	input.plan.kind == "http"
	not port(object.get(input, ["plan", "port"], null))
}

# What a component computes by itself is never judged as the exact effect of another kind, nor the other way round.
malformed contains "action.envelope" if {
	input.action.envelope
	not computes
}

malformed contains "action.envelope" if {
	computes
	not input.action.envelope
}

computes if input.plan.kind == "envelope"

malformed contains concat(".", ["plan", name]) if {
	computes
	some name in {"hosts", "methods", "prefixes"}
	count(input.plan[name]) == 0
}

malformed contains "plan.ports" if {
	computes
	not ports(object.get(input, ["plan", "ports"], null))
}

malformed contains "plan.calls" if {
	computes
	not positive(object.get(input, ["plan", "calls"], null))
}

malformed contains "read_back" if not type_name(object.get(input, "read_back", "")) in {"null", "object"}

# It carries the plan's credentials: it goes where the plan goes, or nowhere.
malformed contains concat(".", ["read_back", name]) if {
	is_object(input.read_back)
	some name in ["kind", "scheme", "host", "port"]
	object.get(input, ["read_back", name], null) != object.get(input, ["plan", name], "")
}

malformed contains "read_back.attempts" if {
	is_object(input.read_back)
	not positive(object.get(input, ["read_back", "attempts"], null))
}

# Flat facts: policy never reads a structure that an agent sent.
malformed contains "params" if not is_object(object.get(input, "params", null))

malformed contains concat(".", ["params", name]) if {
	some name, value in input.params
	not type_name(value) in {"string", "number", "boolean", "null"}
}

malformed contains "budget.calls_remaining" if not limit(object.get(input, ["budget", "calls_remaining"], ""))

malformed contains "approval" if not type_name(object.get(input, "approval", "")) in {"null", "object"}

known := {
	"": {
		"principal", "tenant", "session_id", "scopes", "required_scopes", "action", "plan",
		"read_back", "secrets", "params", "budget", "unresolved", "approval", "time",
	},
	"action": {"id", "version", "digest", "risk", "effects", "trust", "envelope"},
	"budget": {"calls_remaining"},
	"unresolved": {"hosts", "paths"},
	"approval": {"id", "approvers"},
	"read_back": {"kind", "scheme", "host", "port", "path", "values", "attempts"},
	"plan": ({"kind"} | {name | some ["plan", name] in plan_members}) | {name | some name in plan_numbers[input.plan.kind]},
}

part_of_input[""] := input

part_of_input[part] := input[part] if some part in object.keys(known)

text_members := array.concat(
	[
		["principal"], ["tenant"], ["session_id"], ["time"],
		["action", "id"], ["action", "version"], ["action", "digest"],
	],
	array.concat(
		[["plan", name] | some name in plan_texts[input.plan.kind]],
		[[part, name] |
			some part, name in {"approval": "id", "read_back": "path"}
			is_object(input[part])
		],
	),
)

plan_texts := {
	"http": ["method", "scheme", "host", "path"],
	"fs": ["operation", "path"],
	"database": ["connection", "engine", "target", "access", "class"],
	"mail": ["connection", "server", "from"],
	"queue": ["connection", "server", "vhost", "exchange", "routing_key"],
	"storage": ["connection", "endpoint", "operation", "bucket", "key"],
	"envelope": [],
}

plan_lists := {
	"database": ["tables"],
	"mail": ["recipients", "recipient_domains"],
	"envelope": ["hosts", "methods", "prefixes", "plain"],
}

plan_numbers := {"http": ["port"], "envelope": ["ports", "calls"]}

plan_members := array.concat(text_members, list_members)

word_members := [
	[["action", "risk"], {"low", "medium", "high", "critical"}],
	[["action", "trust"], {"digest_ok", "digest_mismatch", "not_registered"}],
	[["action", "envelope"], {true, false}],
	[["plan", "kind"], object.keys(plan_texts)],
]

list_members := array.concat(
	[
		["scopes"], ["required_scopes"], ["secrets"], ["action", "effects"],
		["unresolved", "hosts"], ["unresolved", "paths"],
	],
	array.concat(
		[["plan", name] | some name in plan_lists[input.plan.kind]],
		[[part, name] |
			some part, name in {"approval": "approvers", "read_back": "values"}
			is_object(input[part])
		],
	),
)

text(value) if {
	is_string(value)
	value != ""
}

text_list(value) if {
	is_array(value)
	every item in value { text(item) }
}

positive(value) if {
	is_number(value)
	value == floor(value)
	value >= 1
}

ports(value) if {
	is_array(value)
	count(value) > 0
	every item in value { port(item) }
}

port(value) if {
	is_number(value)
	value == floor(value)
	value >= 1
	value <= 65535
}

limit(value) if is_null(value)

limit(value) if {
	is_number(value)
	value == floor(value)
}
