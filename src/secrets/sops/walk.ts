import type { Rule } from "./rules.ts";
import type { Comment, MapNode, Node, Scalar } from "./tree.ts";

export interface Leaf {
  /** The keys above the value and its own; list indexes have no part in it. */
  readonly path: readonly string[];
  readonly scalar: Scalar;
  /** Whether the file's rule has it encrypted. */
  readonly encrypted: boolean;
  /** Below a list: the path does not tell it from its neighbours. */
  readonly inList: boolean;
}

/**
 * Every value but null in document order, depth first. The comments that stand before a value, and before each map
 * and list around it, go with it for the rules that look at them.
 */
export function* leaves(documents: readonly MapNode[], rule: Rule): Generator<Leaf> {
  for (const document of documents) yield* below(document, [], [], rule, false);
}

function* below(
  node: Node,
  path: readonly string[],
  comments: readonly string[],
  rule: Rule,
  inList: boolean,
): Generator<Leaf> {
  if (node.kind === "scalar") {
    if (node.type !== "null") yield { path, scalar: node, encrypted: rule(path, comments), inList };
    return;
  }
  let before: string[] = [];
  for (const item of node.items) {
    if (item.kind === "comment") {
      before.push(item.text);
      continue;
    }
    const [value, at] = item.kind === "pair" ? [item.value, [...path, item.key]] : [item, path];
    yield* below(value, at, [...comments, ...before], rule, inList || item.kind !== "pair");
    before = [];
  }
}

/** Every comment, with the path of the map or list that it stands in. */
export function* comments(
  node: Node,
  path: readonly string[] = [],
): Generator<{ readonly comment: Comment; readonly path: readonly string[] }> {
  if (node.kind === "scalar") return;
  for (const item of node.items) {
    if (item.kind === "comment") yield { comment: item, path };
    else if (item.kind === "pair") yield* comments(item.value, [...path, item.key]);
    else yield* comments(item, path);
  }
}
