import type { Answer } from "../gate/respond.ts";
import type { ServerContext } from "./context.ts";
import { type FrontRequest, type FrontResponse, HttpFault, type SocketLabel } from "./front/index.ts";

/** An answer that is not JSON. */
export interface TextAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/** One route: `{id}` stands for one path segment, as sent. */
export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly sockets: readonly SocketLabel[];
  readonly handle: (
    context: ServerContext,
    request: FrontRequest,
    id: string,
  ) => Promise<Answer | TextAnswer> | Answer | TextAnswer;
}

export const BOTH: readonly SocketLabel[] = ["client", "admin"];
export const ADMIN: readonly SocketLabel[] = ["admin"];

interface Node {
  readonly children: Map<string, Node>;
  parameter: Node | null;
  readonly routes: Map<string, Route>;
}

const empty = (): Node => ({ children: new Map(), parameter: null, routes: new Map() });

/** Finds the handler of a request. A route that another socket serves does not exist here. */
export class Router {
  private readonly roots: ReadonlyMap<SocketLabel, Node>;

  constructor(routes: readonly Route[]) {
    const roots = new Map<SocketLabel, Node>();
    for (const label of BOTH) roots.set(label, empty());
    for (const route of routes)
      for (const label of route.sockets) {
        let node = roots.get(label) ?? empty();
        for (const segment of route.path.split("/").slice(1)) {
          let next = segment === "{id}" ? node.parameter : node.children.get(segment);
          if (next === null || next === undefined) {
            next = empty();
            if (segment === "{id}") node.parameter = next;
            else node.children.set(segment, next);
          }
          node = next;
        }
        node.routes.set(route.method, route);
      }
    this.roots = roots;
  }

  find(request: FrontRequest): { readonly route: Route; readonly id: string } {
    let node = this.roots.get(request.socket) ?? empty();
    let id = "";
    for (const segment of request.path.split("/").slice(1)) {
      const fixed = node.children.get(segment);
      if (fixed !== undefined) node = fixed;
      else if (node.parameter !== null && segment !== "") {
        node = node.parameter;
        id = segment;
      } else throw notFound();
    }
    const route = node.routes.get(request.method === "HEAD" ? "GET" : request.method);
    if (route !== undefined) return { route, id };
    if (node.routes.size === 0) throw notFound();
    throw new MethodNotAllowed([...node.routes.keys()]);
  }
}

function notFound(): HttpFault {
  return new HttpFault(404, "not_found", "there is nothing at this path", {
    hint: "operators' routes are on the admin socket",
  });
}

export class MethodNotAllowed extends HttpFault {
  readonly allow: string;
  constructor(methods: readonly string[]) {
    super(405, "method_not_allowed", `this path takes ${methods.join(", ")}`);
    this.allow = methods.join(", ");
  }
}

export async function serveRequest(
  router: Router,
  context: ServerContext,
  request: FrontRequest,
  response: FrontResponse,
): Promise<void> {
  let answer: Answer | TextAnswer;
  try {
    const { route, id } = router.find(request);
    answer = await route.handle(context, request, id);
  } catch (error) {
    if (!(error instanceof MethodNotAllowed)) throw error;
    response.json(405, JSON.parse(error.body()), { allow: error.allow });
    return;
  }
  if ("text" in answer) response.text(answer.status, answer.contentType, answer.text);
  else response.json(answer.status, answer.body, answer.headers);
}
