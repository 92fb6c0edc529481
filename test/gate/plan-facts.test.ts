import { expect, test } from "bun:test";
import type { Plan } from "../../src/core/plan.ts";
import { planFacts } from "../../src/gate/plan-facts.ts";
import { databasePlan, fsPlan, httpPlan, mailPlan, queuePlan, storagePlan } from "../host/plans.ts";

const HIDDEN = "5up3r-h1dden";
const BYTES = Buffer.from(HIDDEN);

/** Plans whose every value, as far as it is no place or name, is one that policy has no business to see. */
const PLANS: readonly (readonly [plan: Plan, facts: unknown])[] = [
  [
    databasePlan({
      statement: `select id from orders where customer = $1 and note <> '${HIDDEN}'`,
      parameters: [
        { kind: "text", value: HIDDEN },
        { kind: "text", value: "a" },
      ],
      secret: "ORDERS_PASSWORD",
    }),
    {
      kind: "database",
      connection: "orders",
      engine: "postgresql",
      target: "db.example.com:5432/shop",
      access: "read",
      class: "select",
      tables: ["public.orders"],
    },
  ],
  [
    mailPlan({ subject: HIDDEN, text: HIDDEN, html: HIDDEN, headers: [["x-a", HIDDEN]] }),
    {
      kind: "mail",
      connection: "office",
      server: "mail.example.com",
      from: "gate@example.com",
      recipients: ["ann@example.com", "bob@example.com", "eve@example.com"],
      recipient_domains: ["example.com"],
    },
  ],
  [
    queuePlan({ payload: BYTES, headers: [["x-a", HIDDEN]] }),
    {
      kind: "queue",
      connection: "jobs",
      server: "mq.example.com",
      vhost: "/",
      exchange: "(default)",
      routing_key: "mails",
    },
  ],
  [
    storagePlan({ content: BYTES, ifMatch: `"${HIDDEN}"` }),
    {
      kind: "storage",
      connection: "backups",
      endpoint: "s3.example.com",
      operation: "put",
      bucket: "reports",
      key: "2026/a.pdf",
    },
  ],
  [
    httpPlan({
      url: `https://api.example.com/items?q=${HIDDEN}`,
      headers: [["x-a", HIDDEN]],
      body: BYTES,
    }),
    { kind: "http", method: "GET", scheme: "https", host: "api.example.com", port: 443, path: "/items" },
  ],
  [fsPlan("/srv/project", { content: BYTES }), { kind: "fs", operation: "read", path: "src/a.txt" }],
];

test.each(PLANS.map(([plan, facts]) => [plan.kind, plan, facts] as const))(
  "policy sees of a %s plan where it goes and what it does, and no value",
  (_, plan, facts) => {
    const seen: unknown = planFacts(plan);
    expect(seen).toEqual(facts);
    expect(JSON.stringify(seen)).not.toContain(HIDDEN);
  },
);
