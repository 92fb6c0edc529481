import { secretsIn } from "../secrets/layout.ts";
import { formatOf } from "../secrets/sops/format.ts";
import { readMetadata } from "../secrets/sops/metadata.ts";
import { DIR_FLAG, defineCommand } from "./command.ts";
import { hasColour, printJson, printLine, table } from "./output.ts";
import { locateSecrets, readSecretsText } from "./secrets-file.ts";

export default defineCommand({
  meta: {
    name: "secrets list",
    description: "Names and owners of the secrets; nothing is decrypted, and the MAC not checked",
  },
  args: DIR_FLAG,
  async run({ args }) {
    const { path } = locateSecrets(args);
    const file = formatOf(path).read(await readSecretsText(path));
    const metadata = readMetadata(file.metadata);
    const secrets = secretsIn(file.documents[0], metadata.rule);
    const recipients = metadata.age.map(({ recipient }) => recipient);
    if (args.json) {
      const listed = secrets.map(({ name, tenant, principal }) => ({ name, tenant, principal }));
      await printJson({ ok: true, file: path, secrets: listed, recipients });
      return 0;
    }
    if (secrets.length === 0) await printLine(`there are no secrets in ${path}`);
    else
      await printLine(
        table(
          ["name", "tenant", "principal"],
          secrets.map(({ name, tenant, principal }) => [name, tenant ?? "(shared)", principal ?? ""]),
          hasColour(1),
        ),
      );
    return 0;
  },
});
