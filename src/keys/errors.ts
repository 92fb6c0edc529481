import { LatchGateError } from "../core/errors.ts";

/**
 * `key_missing`, `key_permissions`, `key_exists`, `key_malformed`, `key_wrong_type`, `key_not_admitted`,
 * `key_not_destroyed`.
 */
export class KeyError extends LatchGateError {}
