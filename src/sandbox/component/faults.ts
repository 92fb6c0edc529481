import { ComponentError } from "./cursor.ts";

/** Names come from the component: shown cut and quoted. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 128 ? `${name.slice(0, 128)}…` : name);
}

export function unknownExport(name: string): ComponentError {
  return new ComponentError("component_export_unknown", `the component exports ${quoted(name)}`, {
    hint: "a provider exports the function execute and nothing else",
  });
}

export function wrongSignature(): ComponentError {
  return new ComponentError(
    "component_signature_mismatch",
    "execute has another signature than func(task-json: string) -> result<string, string>",
  );
}
