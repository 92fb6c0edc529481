import { createPrivateKey } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtinManifests, parseManifest } from "../actions/index.ts";
import { ensurePrivateDir, readPrivateText } from "../client/state.ts";
import { publicJwk, thumbprint } from "../keys/jwk.ts";
import { generateKey, writeKeyFile, writePrivateFile } from "../keys/key-file.ts";
import { quickstartData } from "../policy/data.ts";

/** What the first principal may do without asking anybody for more; high risks are held for the operator. */
const QUICKSTART = ["http_fetch", "web_read", "http_post", "fs_read", "fs_write"] as const;

const OPERATOR = "default";

/**
 * Makes a project folder with safe defaults: the current account is the one principal, with the quickstart actions;
 * the account's operator key decides what is held. Never asks. Fails rather than touch a folder that exists.
 */
export function createProject(dir: string, stateFolder: string): { operator: string; operatorKey: string } {
  const uid = process.getuid?.() ?? -1;
  const operators = join(stateFolder, "operators");
  ensurePrivateDir(stateFolder);
  ensurePrivateDir(operators);
  const operatorKey = join(operators, `${OPERATOR}.pem`);
  const jkt = operatorThumbprint(operatorKey);
  mkdirSync(dir, { mode: 0o700 });
  for (const folder of ["actions", "policies", "providers", "keys", "runtime"])
    mkdirSync(join(dir, folder), { mode: 0o700 });
  const data = quickstartData(`uid:${uid}`, quickstartFacts());
  writePrivateFile(join(dir, "policies", "data.json"), `${JSON.stringify(data, null, 2)}\n`);
  // Nothing in here belongs into a repository, least of all the keys.
  writeFileSync(join(dir, ".gitignore"), "*\n", { mode: 0o600 });
  writePrivateFile(
    join(dir, "latchgate.toml"),
    `# docs/configuration.md lists every key.

# Who may ask: accounts of this machine, as the kernel names them.
[identity.principals.${uid}]
tenant = "default"

# Who may decide on held calls. The gate holds the thumbprint, the operator the key:
# ${operatorKey}
[operators.${OPERATOR}]
thumbprint = "${jkt}"
`,
  );
  return { operator: OPERATOR, operatorKey };
}

/** The account's operator key is made once and serves all its projects. */
function operatorThumbprint(path: string): string {
  const pem = readPrivateText(path);
  if (pem !== null) return thumbprint(publicJwk(createPrivateKey(pem)));
  const key = generateKey("p256");
  writeKeyFile(path, key);
  return thumbprint(publicJwk(key));
}

function quickstartFacts() {
  const wanted: ReadonlySet<string> = new Set(QUICKSTART);
  return builtinManifests().flatMap((source) => {
    const parsed = parseManifest(source);
    if (!parsed.ok || !wanted.has(parsed.manifest.id)) return [];
    const { id, effects, risk } = parsed.manifest;
    return [{ id, effects, risk: risk.level }];
  });
}
