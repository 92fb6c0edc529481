import { isRecipient, recipientOf } from "../secrets/age.ts";
import { SecretsError } from "../secrets/errors.ts";
import { defineCommand } from "./command.ts";
import { UsageError } from "./exit-code.ts";
import { note, printJson, printLine } from "./output.ts";
import { confirm } from "./prompt.ts";
import { editSecrets, FILE_FLAGS, identitiesFor, locateSecrets, withUnlocked } from "./secrets-file.ts";

export default defineCommand({
  meta: {
    name: "secrets rotate",
    description:
      "Encrypt every value anew under a fresh data key, for the recipients of the file, more or fewer",
  },
  args: {
    recipient: {
      type: "string",
      description: "An age recipient to add",
      valueHint: "AGE1…",
      repeatable: true,
    },
    without: {
      type: "string",
      description: "A recipient to leave out",
      valueHint: "AGE1…",
      repeatable: true,
    },
    yes: { type: "boolean", alias: "y", description: "Do not ask; --json does not imply it" },
    ...FILE_FLAGS,
  },
  async run({ args }) {
    const bad = args.recipient.find((recipient) => !isRecipient(recipient));
    if (bad !== undefined) throw new UsageError("--recipient is no age recipient", "it looks like age1…");
    const file = locateSecrets(args);
    const identities = await identitiesFor(file, args);
    const own = await Promise.all(identities.map(recipientOf));
    const now = await withUnlocked(file, identities, ({ metadata }) =>
      metadata.age.map(({ recipient }) => recipient),
    );
    const lost = args.without.find((recipient) => !now.includes(recipient));
    if (lost !== undefined) throw new UsageError("--without names no recipient of the file");
    const next = [...new Set([...now, ...args.recipient])].filter((name) => !args.without.includes(name));
    if (!next.some((recipient) => own.includes(recipient)))
      throw new SecretsError("secrets_unsupported", "no identity here could open the file any more", {
        hint: "keep a recipient of the identity that is configured, or configure another identity first",
      });
    // Nothing in the file proves who put a recipient there: a person looks at them before they get the new key.
    for (const recipient of next)
      note(`${recipient}${own.includes(recipient) ? "  (opened by the identity here)" : ""}`);
    confirm("These will be able to read every secret.", args.yes);
    const { withFreshKey } = await import("../secrets/edit.ts");
    await editSecrets(file, identities, (unlocked) => {
      const seen = unlocked.metadata.age.map(({ recipient }) => recipient);
      if (JSON.stringify(seen) !== JSON.stringify(now))
        throw new SecretsError("secrets_unavailable", "the recipients of the file changed meanwhile");
      return withFreshKey(unlocked, next, Date.now());
    });
    if (args.json) await printJson({ ok: true, recipients: next });
    else
      await printLine(
        `the data key is new; old copies of the file open with the old one, so replace values that may have been seen`,
      );
    return 0;
  },
});
