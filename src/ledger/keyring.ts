import type { KeyObject } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { KeyPurpose } from "../keys/history.ts";
import { type PublicJwk, publicJwk, thumbprint } from "../keys/jwk.ts";
import { destroyKeyFile, generateKey, readKeyFile, writeKeyFile } from "../keys/key-file.ts";

/** The private keys of a log, one file each, named by purpose and thumbprint. The log says which is in force. */
export class Keyring {
  private readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  path(purpose: KeyPurpose, kid: string): string {
    return join(this.dir, `${purpose}-${kid}.pem`);
  }

  /** Makes a key and its durable file. Unused until an entry puts it in force. */
  create(purpose: KeyPurpose): { readonly key: KeyObject; readonly jwk: PublicJwk; readonly kid: string } {
    const key = generateKey(purpose === "lease" ? "p256" : "ed25519");
    const jwk = publicJwk(key);
    const kid = thumbprint(jwk);
    writeKeyFile(this.path(purpose, kid), key);
    return { key, jwk, kid };
  }

  load(purpose: KeyPurpose, kid: string): KeyObject {
    return readKeyFile(this.path(purpose, kid), purpose === "lease" ? "p256" : "ed25519");
  }

  /** Destroys a private key for good; a key that is not there is destroyed already. Throws `key_not_destroyed`. */
  destroy(purpose: KeyPurpose, kid: string): void {
    if (this.has(purpose, kid)) destroyKeyFile(this.path(purpose, kid));
  }

  has(purpose: KeyPurpose, kid: string): boolean {
    return existsSync(this.path(purpose, kid));
  }
}
