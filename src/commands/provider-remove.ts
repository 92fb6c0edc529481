import { DIR_FLAG, defineCommand } from "./command.ts";
import { printJson, printLine } from "./output.ts";
import { openStore } from "./provider-component.ts";

export default defineCommand({
  meta: {
    name: "provider remove",
    description: "Take a component away, unless an action of the project names it",
  },
  args: {
    component: { type: "positional", description: "Name or digest" },
    ...DIR_FLAG,
  },
  async run({ args }) {
    const { filesNaming } = await import("../providers/uses.ts");
    const { ProviderError } = await import("../providers/errors.ts");
    const { store, actions } = await openStore(args.dir);
    const provider = store.find(args.component);
    const names = store.list().filter(({ digest }) => digest === provider.digest);
    const users = names.length > 1 ? [] : filesNaming(actions, provider.digest);
    if (users.length > 0)
      throw new ProviderError("provider_in_use", `${provider.name} is named by ${users.join(", ")}`, {
        hint: "remove or change those actions first; a gate does not start without the component",
      });
    store.remove(provider);
    if (args.json) await printJson({ ok: true, name: provider.name, digest: provider.digest });
    else await printLine(`${provider.name} is removed`);
    return 0;
  },
});
