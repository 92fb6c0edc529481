import { SecretIndex, secretsIn } from "../secrets/layout.ts";
import { open } from "../secrets/sops/envelope.ts";
import { defineCommand } from "./command.ts";
import { isTerminal, printJson, printLine } from "./output.ts";
import {
  FILE_FLAGS,
  identitiesFor,
  locateSecrets,
  OWNER_FLAGS,
  ownerOf,
  ownerText,
  withUnlocked,
} from "./secrets-file.ts";
import { noSuchSecret } from "./secrets-remove.ts";

export default defineCommand({
  meta: {
    name: "secrets get",
    description: "Check that a secret is there and opens; with --reveal, print its value and nothing else",
  },
  args: {
    name: { type: "positional", description: "Name, as in GITHUB_TOKEN" },
    reveal: { type: "boolean", description: "Print the value" },
    ...OWNER_FLAGS,
    ...FILE_FLAGS,
  },
  async run({ args }) {
    const file = locateSecrets(args);
    const owner = ownerOf(args, file.config);
    const identities = await identitiesFor(file, args);
    const value = await withUnlocked(file, identities, ({ file: read, metadata, dataKey }) => {
      const entry = new SecretIndex(secretsIn(read.documents[0], metadata.rule)).at(owner, args.name);
      return entry === null ? null : open(entry.envelope, dataKey, entry.place);
    });
    if (value === null) throw noSuchSecret(args.name, owner);
    if (args.json)
      await printJson({
        ok: true,
        name: args.name,
        ...owner,
        bytes: value.length,
        ...(args.reveal ? { value: value.toString("utf8") } : {}),
      });
    else if (!args.reveal)
      await printLine(`${args.name} is set (${ownerText(owner)}), ${value.length} bytes; --reveal prints it`);
    else {
      // Byte for byte into a pipe or a file; a terminal gets its prompt on a new line.
      await Bun.write(Bun.stdout, value);
      if (isTerminal(1)) await printLine("");
    }
    value.fill(0);
    return 0;
  },
});
