# LatchGate's policy: may this principal have this action, with this plan, now?
#
# Every rule speaks on its own and every reason is reported. Deny beats hold, hold beats allow. Each check demands
# its proof, so that a fact that is missing or of another type denies instead of skipping the check. For the same
# reason `not` stands before a rule, or before a call whose arguments are always defined: `not f(x)` with an
# undefined x is undefined, not true.
# `input` is described in src/policy/contract.ts and checked in contract.rego, `data` in docs/policy.md.
package latchgate

import data.latchgate.contract

default decision := {
	"outcome": "deny",
	"reasons": [{"code": "no_rule", "text": "no matching allow rule", "rule": "default"}],
	"granted": {"hosts": [], "paths": [], "connections": [], "secrets": []},
	"policy_version": "",
	"obligations": {"quorum": 1},
}

# Undefined, and so the default, without a policy version.
decision := {
	"outcome": outcome,
	"reasons": reasons,
	"granted": granted,
	"policy_version": version,
	"obligations": {"quorum": quorum},
}

version := data.policy_version if {
	is_string(data.policy_version)
	data.policy_version != ""
}

default outcome := "deny"

outcome := "allow" if {
	permitted
	not held
}

outcome := "allow" if {
	permitted
	approved
}

outcome := "hold" if {
	permitted
	held
	not approved
}

# Each fact is proven here and each reason to deny counts as well: a rule added in one of the two places still denies.
permitted if {
	count(contract.malformed) == 0
	trusted
	count(acting_entries) > 0
	count(missing_scopes) == 0
	budget_left
	count(input.action.effects) > 0
	count(denied_sinks) == 0
	not denied
}

denied if count([text | some text in deny[_]]) > 0

held if count([text | some text in hold[_]]) > 0

# A malformed input is reported as such and judged no further. An approved allow still tells what was held.
reasons := contract_reasons if count(contract.malformed) > 0

reasons := array.concat(denials, holds) if count(contract.malformed) == 0

contract_reasons := [{
	"code": "contract_violation",
	"text": concat("", ["malformed policy input: ", concat(", ", sort(contract.malformed))]),
	"rule": "contract.malformed",
}]

denials := [{"code": code, "text": text, "rule": concat(".", ["deny", code])} |
	some code in ["untrusted_action", "acl_denied", "scope_missing", "budget_exhausted", "sink_denied"]
	some text in deny[code]
]

holds := [{"code": code, "text": text, "rule": concat(".", ["hold", code])} |
	some code in ["risk", "sensitive_path", "unresolved_path", "unresolved_host"]
	some text in hold[code]
]

# Only an allow grants, and never more than the plan asks for.
granted := {
	"hosts": array.concat(
		[input.plan.host | outcome == "allow"; input.plan.kind == "http"],
		[host | outcome == "allow"; input.plan.kind == "envelope"; some host in input.plan.hosts],
	),
	"paths": [input.plan.path | outcome == "allow"; input.plan.kind == "fs"],
	"connections": [input.plan.connection | outcome == "allow"; input.plan.kind in {"database", "mail", "queue", "storage"}],
	"secrets": [secret | outcome == "allow"; some secret in input.secrets],
}

default quorum := 1

quorum := data.approvals.quorum[input.action.risk]

# Enough different people, the one who asks not among them. An approval answers holds; it never answers a denial.
approved if {
	approvers := {approver | some approver in input.approval.approvers; approver != input.principal}
	count(approvers) >= quorum
	count(approvers) > 0
}

# 1. Trust: the manifest is the one that was pinned.
trusted if input.action.trust == "digest_ok"

deny.untrusted_action contains concat("", ["untrusted action: ", input.action.id, " is ", verdict]) if {
	verdict := {"digest_mismatch": "not the pinned version", "not_registered": "not registered"}[input.action.trust]
}

# 2. ACL: which entries speak for the principal. Its own; the wildcard's too when it inherits, or when it has no
# entry at all. An entry that is there and empty blocks the wildcard.
entries contains data.acl[input.principal]

entries contains data.acl["*"] if data.acl[input.principal].inherits_wildcard == true

entries contains data.acl["*"] if not named

# Whatever the entry is: a type name is never false.
named if type_name(data.acl[input.principal])

acting_entries contains entry if {
	some entry in entries
	input.action.id in entry.allowed_actions
}

deny.acl_denied contains concat("", ["not authorised: ", input.principal, " may not use ", input.action.id]) if {
	count(acting_entries) == 0
}

# 3. Scopes: tools:call always, and what the action requires.
missing_scopes := ({"tools:call"} | {scope | some scope in input.required_scopes}) - {scope | some scope in input.scopes}

deny.scope_missing contains concat("", [
	"missing scopes: ", concat(", ", sort(missing_scopes)),
	"; required: ", concat(", ", sort(input.required_scopes)),
	"; present: ", concat(", ", sort(input.scopes)),
]) if {
	count(missing_scopes) > 0
}

# 4. Budget: at least one call left; null is no limit.
budget_left if input.budget.calls_remaining == null

budget_left if {
	is_number(input.budget.calls_remaining)
	input.budget.calls_remaining >= 1
}

deny.budget_exhausted contains "budget exhausted" if not budget_left

# 5. Sinks: each effect of the action is allowed to the principal, by the same entries.
denied_sinks := {effect |
	some effect in input.action.effects
	count([entry | some entry in entries; effect in entry.allowed_sinks]) == 0
}

deny.sink_denied contains concat("", ["disallowed sink: ", concat(", ", sort(denied_sinks))]) if {
	count(denied_sinks) > 0
}

deny.sink_denied contains "disallowed sink: the action declares no effect" if count(input.action.effects) == 0

# 6. Holds: what a human decides, whoever asks.
hold.risk contains concat("", ["risk ", input.action.risk, " needs approval"]) if {
	not routine
}

routine if input.action.risk in {"low", "medium"}

# Every segment counts, the first too, in any case. U+017F folds to s where file names ignore case.
hold.sensitive_path contains concat("", ["sensitive path: ", input.plan.path]) if {
	input.plan.kind == "fs"
	path := concat("", ["/", replace(lower(input.plan.path), "\u017f", "s"), "/"])
	some name in ["/.env/", "/.env.", "/secrets/", "/.ssh/", "/.aws/credentials/"]
	contains(path, name)
}

hold.unresolved_path contains concat("", ["unresolved paths: ", concat(", ", sort(input.unresolved.paths))]) if {
	count(input.unresolved.paths) > 0
}

hold.unresolved_host contains concat("", ["unresolved hosts: ", concat(", ", sort(input.unresolved.hosts))]) if {
	count(input.unresolved.hosts) > 0
}
