import { type Clock, systemClock } from "../core/clock.ts";
import { AgentClient } from "./agent.ts";
import { ClientError } from "./errors.ts";
import { type Location, locateGate, type Surroundings } from "./locate.ts";
import type { OperatorClient } from "./operator.ts";
import { stateDir } from "./state.ts";

/** A client for the gate that the surroundings name, with the caller's own key and lease. */
export async function openAgent(around: Surroundings, clock: Clock = systemClock): Promise<AgentClient> {
  const location = await locateGate(around);
  return new AgentClient({ gate: location.client, stateDir: stateDir(around.env), clock });
}

export interface OperatorSurroundings extends Surroundings {
  /** Value of `--operator`. */
  readonly operator?: string | undefined;
  /** Asks a person for the passphrase of the file; null when there is nobody to ask. */
  readonly askPassphrase: (file: string) => Promise<string | null>;
}

/** A client for the admin listener of that gate, acting as the operator whose key is here. */
export async function openOperator(
  around: OperatorSurroundings,
  clock: Clock = systemClock,
): Promise<OperatorClient> {
  return operatorAt(await locateGate(around), around, clock);
}

/** As {@link openOperator}, for a gate that has been found already. */
export async function operatorAt(
  location: Location,
  around: OperatorSurroundings,
  clock: Clock = systemClock,
): Promise<OperatorClient> {
  const [{ OperatorClient }, { operatorIdentity }] = await Promise.all([
    import("./operator.ts"),
    import("./operator-key.ts"),
  ]);
  if (location.admin === null)
    throw new ClientError("gate_not_configured", "nothing says where the gate's admin socket is", {
      hint: "set LATCHGATE_ADMIN_SOCKET",
    });
  const operator = await operatorIdentity({
    env: around.env,
    stateDir: stateDir(around.env),
    operators: location.operators,
    name: around.operator,
    askPassphrase: around.askPassphrase,
  });
  return new OperatorClient({ gate: location.admin, operator, clock });
}
