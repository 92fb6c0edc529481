import { existsSync } from "node:fs";
import { writePrivateFile } from "../keys/key-file.ts";
import { generateIdentity, type Identities, isRecipient, protect, recipientOf } from "../secrets/age.ts";
import { newFile } from "../secrets/edit.ts";
import { SecretsError } from "../secrets/errors.ts";
import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { printJson, printLine } from "./output.ts";
import { FILE_FLAGS, identitiesFor, locateSecrets, locked } from "./secrets-file.ts";
import { passphraseFor } from "./secrets-identity.ts";
import { trustedIdentity } from "./trusted.ts";

export default defineCommand({
  meta: {
    name: "secrets init",
    description: "Make an age identity, unless there is one, and a secrets file without secrets",
  },
  args: {
    protect: { type: "boolean", description: "Protect the new identity file with a passphrase" },
    recipient: {
      type: "string",
      description: "A further age recipient that can read the file, such as a backup key's",
      valueHint: "AGE1…",
      repeatable: true,
    },
    ...FILE_FLAGS,
  },
  async run({ args }) {
    if (args.recipient.some((recipient) => !isRecipient(recipient)))
      throw new UsageError("--recipient is no age recipient", "it looks like age1…");
    const file = locateSecrets(args);
    const origin = trustedIdentity(file.config, file.dir);
    return locked(file.path, async () => {
      if (existsSync(file.path))
        throw new SecretsError("secrets_exist", `there is a secrets file already: ${file.path}`, {
          hint: "latchgate secrets set adds to it; to begin anew, move it away",
        });
      const made =
        origin.setting === "secrets.identity_file" && !existsSync(origin.path) ? origin.path : null;
      const identities = made !== null ? [await generateIdentity()] : await identitiesFor(file, args);
      const own = await recipientsOf(identities);
      const text = await newFile(file.path, [...new Set([...own, ...args.recipient])], Date.now());
      if (made !== null) {
        const plain = `# public key: ${own[0]}\n${identities[0]}\n`;
        writePrivateFile(
          made,
          args.protect
            ? await protect(plain, await passphraseFor(made, args["identity-passphrase-fd"]))
            : plain,
        );
      }
      writePrivateFile(file.path, text);
      if (args.json)
        await printJson({
          ok: true,
          file: file.path,
          identity_file: made,
          recipients: [...own, ...args.recipient],
        });
      else
        await printLine(
          [
            `secrets:    ${file.path}`,
            `identity:   ${made !== null ? `${made}; keep a copy elsewhere, nothing else opens the secrets` : "as configured"}`,
            `recipient:  ${own.join(", ")}`,
            "",
            "next:",
            "  latchgate secrets set NAME",
          ].join("\n"),
        );
      return 0;
    });
  },
});

async function recipientsOf(identities: Identities): Promise<string[]> {
  const found = await Promise.all(identities.map(recipientOf));
  return found.filter((recipient) => recipient !== null);
}
