/** What keeps a runner in, in the order in which it is put in force. The order is part of the protocol. */
export const LAYERS = [
  "dies_with_parent",
  "descriptors",
  "limits",
  "no_new_privileges",
  "not_dumpable",
  "system_calls",
] as const;
export type Layer = (typeof LAYERS)[number];

/** For people. */
export const LAYER_TEXT: Readonly<Record<Layer, string>> = {
  dies_with_parent: "a runner ends with the gate (PR_SET_PDEATHSIG)",
  descriptors: "a runner has no open file but its pipe",
  limits: "a runner has resource limits (setrlimit)",
  no_new_privileges: "a runner can gain no privileges (no_new_privs)",
  not_dumpable: "a runner can be neither traced nor dumped (PR_SET_DUMPABLE)",
  system_calls: "a runner makes no system call outside of its list (seccomp)",
};

/** A layer that could not be put in force, and what came of the attempt. */
export interface MissingLayer {
  readonly layer: Layer;
  readonly reason: string;
}
