/** From the manifests of the catalogue to a real TLS server: each credential arrives where it belongs, and only there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Action, builtinManifests, loadActions } from "../../../src/actions/index.ts";
import { AUTH_PLACES } from "../../../src/actions/manifest-schema.ts";
import type { JsonObject } from "../../../src/core/json.ts";
import { createHost, type Host } from "../../../src/host/index.ts";
import { actionOf } from "../../actions/manifests.ts";
import { issue, makeAuthority } from "../../certificates.ts";
import { PLACE_HOST, PLACE_SECRET, placeManifest } from "../../e2e/catalogue-cases.ts";
import { spellings, tells } from "../../e2e/credential-search.ts";
import { type Origin, startOrigin } from "../origin.ts";
import { callFor, doorRequest } from "../plans.ts";
import { TableSource } from "../secrets.ts";

const { registry } = await loadActions({ builtins: builtinManifests(), directories: [] });

/** Parameters with which each action that brings a credential is called, and the header that must arrive. */
const SAMPLES: Readonly<
  Record<string, { readonly params: JsonObject; readonly host: string; readonly secret: string }>
> = {
  github_create_issue: {
    params: { owner: "o", repo: "r", title: "t" },
    host: "api.github.com",
    secret: "GITHUB_TOKEN",
  },
  github_read: { params: { path: "repos/o/r" }, host: "api.github.com", secret: "GITHUB_TOKEN" },
  slack_post_message: {
    params: { channel: "C0123456789", text: "hi" },
    host: "slack.com",
    secret: "SLACK_BOT_TOKEN",
  },
  http_bearer_get: {
    params: { url: "https://api.example.com/v1" },
    host: "api.example.com",
    secret: "API_BEARER_TOKEN",
  },
};
const values = Object.fromEntries(
  [...Object.values(SAMPLES).map(({ secret }) => secret), PLACE_SECRET].map((secret) => [
    secret,
    `value-of-${secret.toLowerCase()}`,
  ]),
);

interface Arrived {
  readonly host: string;
  readonly authorization: string | undefined;
  /** The whole head. */
  readonly text: string;
}

const arrived: Arrived[] = [];
let origin: Origin;
let host: Host;

beforeAll(async () => {
  const authority = makeAuthority("catalogue authority");
  const names = [
    ...new Set(Object.values(SAMPLES).map((sample) => sample.host)),
    "httpbin.org",
    "evil.example",
    PLACE_HOST,
  ];
  origin = await startOrigin(issue(authority, { names }), (request, response) => {
    request.resume();
    const text = `${request.method} ${request.url} ${request.rawHeaders.join(" ")}`;
    arrived.push({ host: request.headers.host ?? "", authorization: request.headers.authorization, text });
    response.writeHead(307, { location: "https://evil.example/", "content-length": "0" });
    response.end();
  });
  host = createHost({
    authorities: [authority.certificate],
    secrets: new TableSource(values),
    testing: {
      resolve: async () => [{ address: "93.184.215.14", ttl: 60 }],
      dial: () => ({ address: "127.0.0.1", port: origin.port }),
    },
  });
});
afterAll(async () => {
  await host.close();
  await origin.close();
});

function action(id: string): Action {
  const found = registry.get(id);
  if (found === undefined) throw new Error(`no action ${id}`);
  return found;
}

async function perform(one: Action, params: JsonObject) {
  const checked = one.check(params);
  if (!checked.ok) throw new Error(JSON.stringify(checked));
  const made = one.plan(checked.params, { fsRoot: null });
  if (!made.ok) throw new Error(made.message);
  const door = host.door(doorRequest(made.plan, { action: one.id }));
  await door.call(callFor(made.plan));
  await door.close();
  const [effect] = door.effects();
  if (effect?.kind !== "http") throw new Error("no http effect");
  return { effect, task: one.task(made.plan) };
}

test("every action of the catalogue that brings a credential has its sample here", () => {
  const bring = registry.list().filter((one) => (one.detail().secrets as readonly unknown[]).length > 0);
  expect(bring.map(({ id }) => id).sort()).toEqual(Object.keys(SAMPLES).sort());
});

describe("the credential of an action arrives at its host as its bearer, and a redirect is not followed", () => {
  test.each(Object.entries(SAMPLES))("%s", async (id, { params, host: wanted, secret }) => {
    const before = arrived.length;
    const { effect, task } = await perform(action(id), params);
    expect([effect.error, effect.status, effect.secrets]).toEqual([null, 307, [secret]]);
    expect(arrived.slice(before).map(({ host: to, authorization }) => [to, authorization])).toEqual([
      [wanted, `Bearer ${values[secret]}`],
    ]);
    expect(task).not.toContain("value-of");
  });
});

describe("a host that is learned gets none, wherever the credential stands", () => {
  // In a path the manifest fixes the host.
  test.each(AUTH_PLACES.filter((place) => place !== "path"))("%s", async (place) => {
    const one = actionOf(placeManifest(place, 443));
    const listed = await perform(one, { url: `https://${PLACE_HOST}/` });
    expect([listed.effect.secrets, arrived.at(-1)?.host]).toEqual([[PLACE_SECRET], PLACE_HOST]);
    const { effect } = await perform(one, { url: `https://evil.example/?next=https://${PLACE_HOST}/` });
    expect([effect.error, effect.secrets, arrived.at(-1)?.host]).toEqual([null, [], "evil.example"]);
    expect(tells(arrived.at(-1)?.text ?? "", spellings(values[PLACE_SECRET] ?? ""))).toEqual([]);
  });
});

test("actions without a credential send none, to the same hosts either", async () => {
  for (const url of ["https://api.github.com/user", "https://httpbin.org/get"]) {
    await perform(action("http_fetch"), { url });
    expect(arrived.at(-1)?.authorization).toBeUndefined();
    expect(arrived.at(-1)?.text).not.toContain("value-of");
  }
});
