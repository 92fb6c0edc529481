import { defineGroup } from "./command.ts";

export default defineGroup(
  { name: "provider", description: "Components of your own that carry out actions" },
  {
    build: { summary: "make a component of TypeScript", load: () => import("./provider-build.ts") },
    add: {
      summary: "check a component and store it in the project",
      load: () => import("./provider-add.ts"),
    },
    list: { summary: "the components of the project", load: () => import("./provider-list.ts") },
    inspect: {
      summary: "what a component imports, needs and may use",
      load: () => import("./provider-inspect.ts"),
    },
    remove: { summary: "take a component away", load: () => import("./provider-remove.ts") },
    types: {
      summary: "print the world as TypeScript declarations",
      load: () => import("./provider-types.ts"),
    },
  },
);
