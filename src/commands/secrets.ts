import { defineGroup } from "./command.ts";

export default defineGroup(
  { name: "secrets", description: "The credentials that actions use, in a SOPS file" },
  {
    init: { summary: "make an identity and an empty secrets file", load: () => import("./secrets-init.ts") },
    set: { summary: "add or replace a secret", load: () => import("./secrets-set.ts") },
    get: {
      summary: "whether a secret is there; with --reveal, its value",
      load: () => import("./secrets-get.ts"),
    },
    list: { summary: "names and owners, without opening the file", load: () => import("./secrets-list.ts") },
    remove: { summary: "take a secret away", load: () => import("./secrets-remove.ts") },
    rotate: {
      summary: "encrypt everything anew, for the recipients of your choice",
      load: () => import("./secrets-rotate.ts"),
    },
  },
);
