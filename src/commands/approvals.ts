import { defineGroup } from "./command.ts";

export default defineGroup(
  { name: "approvals", description: "Calls that wait for a person to decide" },
  {
    list: { summary: "list holds, newest first", load: () => import("./approvals-list.ts") },
    show: { summary: "show everything about one hold", load: () => import("./approvals-show.ts") },
    approve: { summary: "sign for a held call and run it", load: () => import("./approvals-approve.ts") },
    deny: { summary: "refuse a held call", load: () => import("./approvals-deny.ts") },
  },
);
