import { createPrivateKey, type KeyObject } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { ClientError } from "./errors.ts";
import type { Location } from "./locate.ts";
import { type SenderKey, senderKey } from "./proof.ts";
import { readPrivateText } from "./state.ts";

export interface OperatorIdentity {
  readonly id: string;
  /** The operator's id, unless the gate asks for a secret token beside the key. */
  readonly token: string;
  readonly key: SenderKey;
}

export interface OperatorSource {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stateDir: string;
  readonly operators: Location["operators"];
  /** Value of `--operator`. */
  readonly name?: string | undefined;
  /** Asks a person for the passphrase of the file; null when there is nobody to ask. */
  readonly askPassphrase: (file: string) => Promise<string | null>;
}

const OPERATOR_ID = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/;

/**
 * Who acts, and with which key. The key is `$LATCHGATE_OPERATOR_KEY_FILE`, else `operators/<id>.pem` in the state
 * folder. The id is `--operator` or `LATCHGATE_OPERATOR`; else the project's operator whose thumbprint the key has;
 * else the one operator of the project whose key is here; else the name of the key file. The token is the id, or
 * the text of `$LATCHGATE_OPERATOR_TOKEN_FILE`.
 * Throws {@link ClientError} `operator_unknown` and `operator_key`.
 */
export async function operatorIdentity(source: OperatorSource): Promise<OperatorIdentity> {
  const name = nonEmpty(source.name) ?? nonEmpty(source.env.LATCHGATE_OPERATOR);
  if (name !== undefined) assertId(name);
  const file = nonEmpty(source.env.LATCHGATE_OPERATOR_KEY_FILE);
  if (file !== undefined) {
    const key = senderKey(await readKey(file, source), file);
    const listed = source.operators.find((operator) => operator.thumbprint === key.jkt)?.id;
    return identity(name ?? listed ?? basename(file).replace(/\.pem$/, ""), key, source);
  }
  const id = name ?? onlyOneHere(source);
  const path = keyPath(source.stateDir, id);
  return identity(id, senderKey(await readKey(path, source), path), source);
}

function identity(id: string, key: SenderKey, source: OperatorSource): OperatorIdentity {
  const file = nonEmpty(source.env.LATCHGATE_OPERATOR_TOKEN_FILE);
  if (file === undefined) return { id: assertId(id), token: id, key };
  const token = readPrivateText(file)?.trim();
  if (token === undefined || !/^[\x21-\x7e]{1,512}$/.test(token))
    throw new ClientError("operator_key", `there is no token of visible ascii characters in ${file}`);
  return { id: assertId(id), token, key };
}

function keyPath(stateDir: string, id: string): string {
  return join(stateDir, "operators", `${id}.pem`);
}

function onlyOneHere(source: OperatorSource): string {
  const here = source.operators
    .map(({ id }) => assertId(id))
    .filter((id) => existsSync(keyPath(source.stateDir, id)));
  const [first, second] = here;
  if (first === undefined)
    throw new ClientError("operator_unknown", "this account has no operator key for this gate", {
      hint: "set LATCHGATE_OPERATOR_KEY_FILE, or name the operator with --operator",
    });
  if (second !== undefined)
    throw new ClientError("operator_unknown", `there are keys for several operators: ${here.join(", ")}`, {
      hint: "choose one with --operator or LATCHGATE_OPERATOR",
    });
  return first;
}

/** Ids become file names and header values. */
function assertId(id: string): string {
  if (!OPERATOR_ID.test(id))
    throw new ClientError("operator_unknown", "an operator id has letters, digits and . _ @ - only", {
      hint: "name the operator with --operator",
    });
  return id;
}

async function readKey(path: string, source: OperatorSource): Promise<KeyObject> {
  const pem = readPrivateText(path);
  if (pem === null) throw new ClientError("operator_key", `there is no operator key ${path}`);
  const encrypted = pem.includes("ENCRYPTED");
  const passphrase = encrypted ? await passphraseFor(path, source) : undefined;
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
  } catch {
    // The cause is dropped: a parser's message may carry parts of the key.
    throw new ClientError(
      "operator_key",
      encrypted
        ? `${path} cannot be opened with this passphrase`
        : `${path} is not a private key in pem form`,
    );
  }
}

async function passphraseFor(path: string, source: OperatorSource): Promise<string> {
  const file = nonEmpty(source.env.LATCHGATE_OPERATOR_PASSPHRASE_FILE);
  if (file !== undefined) {
    const text = readPrivateText(file);
    if (text === null) throw new ClientError("operator_key", `there is no passphrase file ${file}`);
    return text.replace(/\r?\n$/, "");
  }
  const typed = await source.askPassphrase(path);
  if (typed === null)
    throw new ClientError("operator_key", `${path} is protected by a passphrase`, {
      hint: "run the command on a terminal, or set LATCHGATE_OPERATOR_PASSPHRASE_FILE",
    });
  return typed;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
