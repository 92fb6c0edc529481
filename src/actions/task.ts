import { encodeBytes } from "../core/plan/stored-bytes.ts";
import type { Plan } from "../core/plan.ts";

/**
 * The task text for the component that carries out a plan. The same plan always gives the same text.
 *
 * - http: `{"method","url","headers":[[name,value]],"body_base64":text|null,"timeout_ms":n}`
 * - fs: `{"operation","path","content_base64":text|null,"expected_before_hash":hex|null}`
 * - database: `{"connection","statement","parameters":[[kind,value]]}`
 * - mail: `{"to":[…],"cc":[…],"bcc":[…],"subject","text":text|null,"html":text|null,"headers":[[name,value]]}`
 * - queue: `{"connection","exchange","routing_key","payload_base64","content_type","headers":[[name,value]]}`
 * - storage: `{"operation","connection","bucket","key","content_base64":text|null,"content_type":text|null,
 *   "if_none_match":boolean,"if_match":text|null}`
 * - envelope: `{"params":{…},"timeout_ms":n}`: the parameters, of which the component makes its own requests
 *
 * @param timeoutMs what the component may ask the broker for, milliseconds
 */
export function renderTask(plan: Plan, timeoutMs: number): string {
  return JSON.stringify(taskOf(plan, timeoutMs));
}

function taskOf(plan: Plan, timeoutMs: number): object {
  switch (plan.kind) {
    case "http": {
      const { method, url, headers, body } = plan;
      return { method, url, headers, body_base64: encodeBytes(body), timeout_ms: timeoutMs };
    }
    case "fs":
      return {
        operation: plan.operation,
        path: plan.path,
        content_base64: encodeBytes(plan.content),
        expected_before_hash: plan.expectedBeforeHash,
      };
    case "database":
      return {
        connection: plan.connection,
        statement: plan.statement,
        parameters: plan.parameters.map(({ kind, value }) => [kind, value]),
      };
    case "mail": {
      const { to, cc, bcc, subject, text, html, headers } = plan;
      return { to, cc, bcc, subject, text, html, headers };
    }
    case "queue":
      return {
        connection: plan.connection,
        exchange: plan.exchange,
        routing_key: plan.routingKey,
        payload_base64: encodeBytes(plan.payload),
        content_type: plan.contentType,
        headers: plan.headers,
      };
    case "storage":
      return {
        operation: plan.operation,
        connection: plan.connection,
        bucket: plan.bucket,
        key: plan.key,
        content_base64: encodeBytes(plan.content),
        content_type: plan.contentType,
        if_none_match: plan.ifNoneMatch,
        if_match: plan.ifMatch,
      };
    case "envelope":
      return { params: plan.params, timeout_ms: timeoutMs };
  }
}
