export { AgentClient, type AgentOptions, type ExecuteOptions } from "./agent.ts";
export type { Outcome, PollState } from "./answers.ts";
export type { Answer, Call, Gate } from "./connection.ts";
export { ClientError, GateError, TransportError } from "./errors.ts";
export { type Location, locateGate, type Surroundings } from "./locate.ts";
export { openAgent, openOperator, operatorAt } from "./open.ts";
export type { AuditFilters, OperatorClient } from "./operator.ts";
