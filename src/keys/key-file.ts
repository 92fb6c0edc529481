import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { KeyError } from "./errors.ts";

export type KeyType = "ed25519" | "p256";

/** Makes a fresh private key. */
export function generateKey(type: KeyType): KeyObject {
  return type === "ed25519"
    ? generateKeyPairSync("ed25519").privateKey
    : generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

/**
 * Writes a private key as PKCS#8 PEM into a new file: never over an existing one, never through a symlink, readable
 * by the owner alone before a byte is written, and durable (file and folder synced) when this returns.
 */
export function writeKeyFile(path: string, key: KeyObject): void {
  writePrivateFile(path, key.export({ type: "pkcs8", format: "pem" }) as string);
}

/** As {@link writeKeyFile}, for any text that must stay private. */
export function writePrivateFile(path: string, text: string): void {
  let fd: number;
  try {
    fd = openSync(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
  } catch (cause) {
    throw new KeyError("key_exists", `cannot create ${path}; it must not exist yet`, { cause });
  }
  try {
    fchmodSync(fd, 0o600);
    writeSync(fd, text);
    fsyncSync(fd);
  } catch (cause) {
    unlinkSync(path);
    throw cause;
  } finally {
    closeSync(fd);
  }
  syncFolder(dirname(path));
}

export function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Destroys a private key file: overwritten, synced, unlinked, folder synced. What a file system or a disk keeps of old
 * blocks is beyond it. Throws `key_not_destroyed`.
 */
export function destroyKeyFile(path: string): void {
  try {
    const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      writeSync(fd, new Uint8Array(fstatSync(fd).size), 0, undefined, 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    unlinkSync(path);
    syncFolder(dirname(path));
  } catch (cause) {
    throw new KeyError("key_not_destroyed", `cannot destroy the retired key ${path}`, {
      cause,
      hint: "remove the file: an old key must not sign again",
    });
  }
}

/** Reads a private key file that {@link writeKeyFile} made. Refuses one that others than its owner can read. */
export function readKeyFile(path: string, type: KeyType): KeyObject {
  let pem: string;
  try {
    // Without blocking: a FIFO in the place of the file would hold the gate for ever.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw new KeyError("key_malformed", `${path} is not a regular file`);
      if ((stat.mode & 0o077) !== 0)
        throw new KeyError("key_permissions", `${path} can be read or written by others`, {
          hint: `chmod 600 ${path}, and rotate the key if others may have read it`,
        });
      if (stat.uid !== process.getuid?.())
        throw new KeyError("key_permissions", `${path} belongs to another account`);
      pem = readFileSync(fd, "utf8");
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    throw new KeyError("key_missing", `cannot read the key file ${path}`, { cause });
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The cause is dropped: a parser's message may carry parts of the key.
    throw new KeyError("key_malformed", `${path} is not a pkcs#8 private key`);
  }
  const wanted = type === "ed25519" ? "ed25519" : "ec";
  if (key.asymmetricKeyType !== wanted)
    throw new KeyError("key_wrong_type", `${path} does not hold a ${type} key`);
  return key;
}
