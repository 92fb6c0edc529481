import type { HostCall, HostCallKind } from "../core/host-call.ts";
import type { DatabasePlan, FsPlan, HttpPlan, MailPlan, Plan, QueuePlan, StoragePlan } from "../core/plan.ts";
import { parseTargetUrl, UrlError } from "../core/url.ts";

type Call<K extends HostCallKind> = Extract<HostCall, { readonly kind: K }>;
type FsCall = Call<"fs.read" | "fs.write" | "fs.delete">;
type StorageCall = Call<"storage.put-object" | "storage.get-object">;

/** Whether a call asks for the planned effect, byte for byte. An attacker controls the call. */
export function equalsPlan(call: HostCall, plan: Plan): boolean {
  switch (call.kind) {
    case "http.request":
      return plan.kind === "http" && equalsHttp(call, plan);
    case "fs.read":
    case "fs.write":
    case "fs.delete":
      return plan.kind === "fs" && equalsFs(call, plan);
    case "database.execute-query":
      return plan.kind === "database" && equalsDatabase(call, plan);
    case "smtp.send":
      return plan.kind === "mail" && equalsMail(call, plan);
    case "queue.publish":
      return plan.kind === "queue" && equalsQueue(call, plan);
    case "storage.put-object":
    case "storage.get-object":
      return plan.kind === "storage" && equalsStorage(call, plan);
    default:
      return false;
  }
}

function equalsHttp(call: Call<"http.request">, plan: HttpPlan): boolean {
  return (
    Number.isInteger(call.timeoutMs) &&
    call.timeoutMs >= 0 &&
    call.method === plan.method &&
    normalUrl(call.url) === plan.url &&
    equalPairs(call.headers, plan.headers) &&
    equalBytes(call.body, plan.body)
  );
}

function equalsFs(call: FsCall, plan: FsPlan): boolean {
  if (call.path !== plan.path) return false;
  switch (call.kind) {
    case "fs.read":
      return plan.operation === "read";
    case "fs.delete":
      return plan.operation === "delete";
    case "fs.write":
      return (
        plan.operation === call.mode &&
        equalBytes(call.content, plan.content) &&
        hex(call.expectedBeforeHash) === plan.expectedBeforeHash
      );
  }
}

function equalsDatabase(call: Call<"database.execute-query">, plan: DatabasePlan): boolean {
  const asked = call.parameters;
  return (
    call.connection === plan.connection &&
    call.statement === plan.statement &&
    asked.length === plan.parameters.length &&
    plan.parameters.every(({ kind, value }, i) => asked[i]?.kind === kind && asked[i].value === value)
  );
}

function equalsMail(call: Call<"smtp.send">, plan: MailPlan): boolean {
  return (
    equalTexts(call.to, plan.to) &&
    equalTexts(call.cc, plan.cc) &&
    equalTexts(call.bcc, plan.bcc) &&
    call.subject === plan.subject &&
    call.text === plan.text &&
    call.html === plan.html &&
    equalPairs(call.headers, plan.headers)
  );
}

function equalsQueue(call: Call<"queue.publish">, plan: QueuePlan): boolean {
  return (
    call.connection === plan.connection &&
    call.exchange === plan.exchange &&
    call.routingKey === plan.routingKey &&
    call.contentType === plan.contentType &&
    equalPairs(call.headers, plan.headers) &&
    equalBytes(call.payload, plan.payload)
  );
}

function equalsStorage(call: StorageCall, plan: StoragePlan): boolean {
  if (call.connection !== plan.connection || call.bucket !== plan.bucket || call.key !== plan.key)
    return false;
  switch (call.kind) {
    case "storage.get-object":
      return plan.operation === "get";
    case "storage.put-object":
      return (
        plan.operation === "put" &&
        call.contentType === plan.contentType &&
        call.ifNoneMatch === plan.ifNoneMatch &&
        call.ifMatch === plan.ifMatch &&
        equalBytes(call.content, plan.content)
      );
  }
}

function normalUrl(text: string): string | null {
  try {
    return parseTargetUrl(text).href;
  } catch (thrown) {
    if (thrown instanceof UrlError) return null;
    throw thrown;
  }
}

type Pairs = readonly (readonly [string, string])[];

function equalPairs(a: Pairs, b: Pairs): boolean {
  return a.length === b.length && b.every(([name, value], i) => a[i]?.[0] === name && a[i][1] === value);
}

function equalTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && b.every((text, i) => a[i] === text);
}

function equalBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(b);
}

function hex(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString("hex");
}
