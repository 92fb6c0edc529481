import type { Owner } from "../secrets/layout.ts";
import { defineCommand } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { printJson, printLine } from "./output.ts";
import {
  editSecrets,
  FILE_FLAGS,
  identitiesFor,
  locateSecrets,
  OWNER_FLAGS,
  ownerOf,
  ownerText,
} from "./secrets-file.ts";

export default defineCommand({
  meta: {
    name: "secrets remove",
    description: "Take a secret away; calls that need it are refused from then on",
  },
  args: {
    name: { type: "positional", description: "Name, as in GITHUB_TOKEN" },
    ...OWNER_FLAGS,
    ...FILE_FLAGS,
  },
  async run({ args }) {
    const { assertName, withoutSecret } = await import("../secrets/edit.ts");
    assertName(args.name);
    const file = locateSecrets(args);
    const owner = ownerOf(args, file.config);
    const identities = await identitiesFor(file, args);
    const removed = await editSecrets(file, identities, (unlocked) =>
      withoutSecret(unlocked, owner, args.name, Date.now()),
    );
    if (!removed) throw noSuchSecret(args.name, owner);
    if (args.json) await printJson({ ok: true, name: args.name, ...owner });
    else await printLine(`${args.name} is removed (${ownerText(owner)}); copies of the file still have it`);
    return 0;
  },
});

export function noSuchSecret(name: string, owner: Owner): EndedError {
  return new EndedError(
    EXIT.notFound,
    "secret_missing",
    `there is no secret ${name} (${ownerText(owner)})`,
    "latchgate secrets list shows what there is",
  );
}
