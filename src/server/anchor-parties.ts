import type { Config } from "../config/schema.ts";
import type { AnchorQuorum } from "../gate/acts/anchor.ts";
import type { Gate } from "../gate/gate.ts";
import type { AnchorParty } from "./anchoring.ts";
import { StartError } from "./start-error.ts";
import { type ConfiguredAuthority, configuredAuthorities, TimestampParty } from "./timestamping.ts";
import { type ConfiguredWitness, configuredWitnesses, WitnessParty } from "./witnessing.ts";

/** Those whom the configuration has sign checkpoints, and how many of them must. */
export interface ConfiguredParties {
  readonly witnesses: readonly ConfiguredWitness[];
  readonly authorities: readonly ConfiguredAuthority[];
  readonly quorum: number;
}

/** Throws `config_invalid` when one could not be relied on. */
export function configuredParties(dir: string, config: Config): ConfiguredParties {
  const witnesses = configuredWitnesses(dir, config);
  const authorities = configuredAuthorities(dir, config);
  const all = witnesses.length + authorities.length;
  const quorum = config.evidence.quorum ?? all;
  if (quorum > all)
    throw new StartError(
      "config_invalid",
      "evidence.quorum: larger than the number of witnesses and authorities",
    );
  return { witnesses, authorities, quorum };
}

export function anchorParties(
  gate: Gate,
  { witnesses, authorities, quorum }: ConfiguredParties,
  report: (line: string) => void,
): readonly AnchorParty[] {
  const wanted: AnchorQuorum = {
    vkeys: witnesses.map(({ vkey }) => vkey),
    authorities: authorities.map(({ authority: { name, policy }, pem }) => ({ name, pem, policy })),
    quorum,
  };
  return [
    ...witnesses.map((witness) => new WitnessParty(gate, witness, wanted, report)),
    ...authorities.map((authority) => new TimestampParty(gate, authority, wanted, report)),
  ];
}
