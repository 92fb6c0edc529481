import type { CommandTable } from "./command.ts";

/**
 * Every command that a user sees, in the order of the overview. To add one: a file with a default export made by
 * `defineCommand`, and a line here.
 */
export const COMMANDS: CommandTable = {
  serve: { summary: "run the gate in the foreground", load: () => import("./serve.ts") },
  execute: { summary: "run one action through the gate", load: () => import("./execute.ts") },
  actions: {
    summary: "list the actions that the gate offers, or describe one",
    load: () => import("./actions.ts"),
  },
  approvals: {
    summary: "calls that wait for a person: list, show, approve, deny",
    load: () => import("./approvals.ts"),
  },
  audit: { summary: "show the log", load: () => import("./audit.ts") },
  verify: { summary: "check a ledger offline", load: () => import("./verify.ts") },
  prove: { summary: "write a proof that a receipt is in the log", load: () => import("./prove.ts") },
  export: { summary: "write a verifiable range of the log", load: () => import("./export.ts") },
  "rotate-keys": { summary: "replace the gate's evidence key", load: () => import("./rotate-keys.ts") },
  revoke: { summary: "kill switch", load: () => import("./revoke.ts") },
  secrets: {
    summary: "the credentials that actions use: init, set, get, list, remove, rotate",
    load: () => import("./secrets.ts"),
  },
  provider: {
    summary: "components of your own: build, add, list, inspect, remove, types",
    load: () => import("./provider.ts"),
  },
  trust: {
    summary: "let this project's configuration run the commands that it names",
    load: () => import("./trust.ts"),
  },
  status: { summary: "how the gate is", load: () => import("./status.ts") },
  doctor: { summary: "whether a gate could start here", load: () => import("./doctor.ts") },
  healthcheck: {
    summary: "whether the gate is ready, for supervisors",
    load: () => import("./healthcheck.ts"),
  },
  completions: { summary: "completions for bash, zsh or fish", load: () => import("./completions.ts") },
  version: { summary: "print the version", load: () => import("./version.ts") },
};
