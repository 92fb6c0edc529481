import { databaseTargetText } from "../core/plan/database.ts";
import { acrossTargets } from "../core/plan/envelope.ts";
import type { Plan } from "../core/plan.ts";
import { parseTargetUrl } from "../core/url.ts";
import type { PolicyInput } from "../policy/contract.ts";

/** What policy may know of a plan: where it goes and what it does, no bodies and no values. */
export function planFacts(plan: Plan): PolicyInput["plan"] {
  switch (plan.kind) {
    case "http": {
      const { scheme, host, port, path } = parseTargetUrl(plan.url);
      return { kind: "http", method: plan.method, scheme, host, port, path };
    }
    case "envelope":
      return {
        kind: "envelope",
        hosts: acrossTargets(plan, "hosts"),
        methods: acrossTargets(plan, "methods"),
        prefixes: acrossTargets(plan, "paths"),
        ports: acrossTargets(plan, "ports"),
        plain: plan.plain,
        calls: plan.calls,
      };
    case "fs":
      return { kind: "fs", operation: plan.operation, path: plan.path };
    case "database":
      return {
        kind: "database",
        connection: plan.connection,
        engine: plan.target.engine,
        target: databaseTargetText(plan.target),
        access: plan.access,
        class: plan.class,
        tables: plan.tables,
      };
    case "mail": {
      const recipients = [...plan.to, ...plan.cc, ...plan.bcc];
      const domains = recipients.map((recipient) =>
        recipient.slice(recipient.lastIndexOf("@") + 1).toLowerCase(),
      );
      return {
        kind: "mail",
        connection: plan.connection,
        server: plan.server.host,
        from: plan.from,
        recipients,
        recipient_domains: [...new Set(domains)].sort(),
      };
    }
    case "queue":
      return {
        kind: "queue",
        connection: plan.connection,
        server: plan.server.host,
        vhost: plan.vhost,
        // AMQP's name of the default exchange is the empty text, and no fact is empty.
        exchange: plan.exchange === "" ? DEFAULT_EXCHANGE : plan.exchange,
        routing_key: plan.routingKey,
      };
    case "storage":
      return {
        kind: "storage",
        connection: plan.connection,
        endpoint: plan.endpoint.host,
        operation: plan.operation,
        bucket: plan.bucket,
        key: plan.key,
      };
  }
}

/** What policy may know of how the effect will be looked for. */
export function readBackFacts(plan: Plan): PolicyInput["read_back"] {
  if (plan.kind !== "http" || plan.readBack === null) return null;
  const { url, values, attempts } = plan.readBack;
  const { scheme, host, port, path } = parseTargetUrl(url);
  return { kind: "http", scheme, host, port, path, values: values.map(({ name }) => name), attempts };
}

const DEFAULT_EXCHANGE = "(default)";
