import { DIR_FLAG, defineCommand } from "./command.ts";
import { hasColour, note, printJson, printLine, table } from "./output.ts";
import { openStore } from "./provider-component.ts";

export default defineCommand({
  meta: { name: "provider list", description: "The components of the project, with their digests" },
  args: { ...DIR_FLAG },
  async run({ args }) {
    const { store } = await openStore(args.dir);
    const providers = store.list();
    if (args.json)
      await printJson({
        providers: providers.map((provider) => ({ ...provider, imports: [...provider.imports] })),
      });
    else if (providers.length === 0) note("the project has no components of its own");
    else {
      const rows = providers.map(({ name, digest, bytes, imports }) => [
        name,
        digest,
        `${bytes}`,
        imports.join(" "),
      ]);
      await printLine(table(["NAME", "DIGEST", "BYTES", "IMPORTS"], rows, hasColour(1)));
    }
    return 0;
  },
});
