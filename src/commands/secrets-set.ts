import { defineCommand } from "./command.ts";
import { EndedError, EXIT } from "./exit-code.ts";
import { isTerminal, printJson, printLine } from "./output.ts";
import {
  editSecrets,
  FILE_FLAGS,
  identitiesFor,
  locateSecrets,
  OWNER_FLAGS,
  ownerOf,
  ownerText,
} from "./secrets-file.ts";
import { readSource } from "./source.ts";

export default defineCommand({
  meta: {
    name: "secrets set",
    description:
      "Add or replace a secret; its value comes from a prompt, stdin or a file, never from the command line",
  },
  args: {
    name: { type: "positional", description: "Name, as in GITHUB_TOKEN" },
    "from-file": {
      type: "string",
      description: "File with the value, every byte of it",
      valueHint: "PATH",
    },
    ...OWNER_FLAGS,
    ...FILE_FLAGS,
  },
  async run({ args }) {
    const { assertName, withSecret } = await import("../secrets/edit.ts");
    assertName(args.name);
    const file = locateSecrets(args);
    const owner = ownerOf(args, file.config);
    const identities = await identitiesFor(file, args);
    const value = await readValue(args.name, args["from-file"]);
    try {
      await editSecrets(file, identities, (unlocked) =>
        withSecret(unlocked, owner, args.name, value, Date.now()),
      );
    } finally {
      value.fill(0);
    }
    if (args.json) await printJson({ ok: true, name: args.name, ...owner });
    else await printLine(`${args.name} is set (${ownerText(owner)})`);
    return 0;
  },
});

/** A line that was typed or piped ends with a newline that is not part of the value; a file is taken as it is. */
async function readValue(name: string, path: string | undefined): Promise<Buffer> {
  if (path !== undefined) return readSource(path);
  if (!isTerminal(0)) {
    const bytes = readSource("-");
    const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? 2 : 1) : 0;
    return bytes.subarray(0, bytes.length - end);
  }
  const typed = await (await import("./prompt.ts")).askHidden(`value of ${name} (not shown)`);
  if (typed === null)
    throw new EndedError(
      EXIT.usage,
      "usage",
      "there is no terminal to ask on",
      "pipe the value, or use --from-file",
    );
  return Buffer.from(typed, "utf8");
}
