import { armor, Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { SecretsError, unavailable } from "./errors.ts";

/** age identities as text, `AGE-SECRET-KEY-1…`. A JavaScript engine can't overwrite them: they live until collected. */
export type Identities = readonly string[];

const IDENTITY = /^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{1,200}$/;
const RECIPIENT = /^age1[0-9a-z]{1,3000}$/;
const MOST_IDENTITIES = 16;
const ARMOR = "-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY = "age-encryption.org/";

/**
 * Reads an identity file as `age-keygen` writes it: comments, blank lines, one identity a line. `from` names it in
 * errors, which never carry its text; the library's own would. Throws `secrets_unavailable`.
 */
export async function parseIdentities(text: string, from: string): Promise<Identities> {
  const found: string[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const bad = unavailable(`${from} has no age identity on line ${index + 1}`, "age-keygen makes one");
    if (!IDENTITY.test(line)) throw bad;
    // What is not a key is found now, and not when the first secret is wanted.
    if ((await recipientOf(line)) === null) throw bad;
    found.push(line);
    if (found.length > MOST_IDENTITIES)
      throw unavailable(`${from} has more than ${MOST_IDENTITIES} identities`);
  }
  if (found.length === 0) throw unavailable(`${from} holds no age identity`, "age-keygen makes one");
  return found;
}

export function generateIdentity(): Promise<string> {
  return generateX25519Identity();
}

/** The recipient, `age1…`, that an identity opens for; null when it is none. */
export async function recipientOf(identity: string): Promise<string | null> {
  try {
    return await identityToRecipient(identity);
  } catch {
    return null;
  }
}

/** Whether a text is a recipient that a file can be encrypted for. */
export function isRecipient(text: string): boolean {
  if (!RECIPIENT.test(text)) return false;
  try {
    new Encrypter().addRecipient(text);
    return true;
  } catch {
    return false;
  }
}

/** Encrypts bytes for one recipient, armored as SOPS has it. */
export async function wrapFor(recipient: string, bytes: Uint8Array): Promise<string> {
  const encrypter = new Encrypter();
  try {
    encrypter.addRecipient(recipient);
  } catch {
    throw new SecretsError("secrets_unsupported", "a recipient of the secrets file is not one of age", {
      hint: "recipients look like age1…",
    });
  }
  return armor.encode(await encrypter.encrypt(bytes));
}

/** Decrypts an armored age file; null when none of the identities opens it, or when it is none. */
export async function unwrapWith(identities: Identities, armored: string): Promise<Uint8Array | null> {
  const decrypter = new Decrypter();
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
    return await decrypter.decrypt(armor.decode(armored));
  } catch {
    return null;
  }
}

/** Whether the bytes of an identity file are themselves encrypted by age. */
export function isProtected(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.subarray(0, 64)).toString("latin1");
  return head.startsWith(ARMOR) || head.startsWith(BINARY);
}

/** Encrypts an identity file under a passphrase, armored. */
export async function protect(text: string, passphrase: string): Promise<string> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  return armor.encode(await encrypter.encrypt(text));
}

/** Opens a passphrase-protected identity file. Takes a second or so by design. Throws `secrets_unavailable`. */
export async function unprotect(bytes: Uint8Array, passphrase: string, from: string): Promise<string> {
  try {
    const decrypter = new Decrypter();
    decrypter.addPassphrase(passphrase);
    const head = Buffer.from(bytes.subarray(0, ARMOR.length)).toString("latin1");
    const binary = head === ARMOR ? armor.decode(Buffer.from(bytes).toString("latin1")) : bytes;
    return await decrypter.decrypt(binary, "text");
  } catch {
    throw unavailable(`${from} cannot be opened with this passphrase`);
  }
}
