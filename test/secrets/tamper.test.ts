import { describe, expect, test } from "bun:test";
import { Document, isMap, parseDocument, type YAMLMap } from "yaml";
import { seal } from "../../src/secrets/sops/envelope.ts";
import {
  FORMATS,
  fixture,
  fixtureIdentities,
  madeFile,
  principal,
  SHARED,
  seen,
  tenant,
} from "./secrets-files.ts";

const SECRETS = [
  { owner: SHARED, name: "TOKEN", value: "shared-token" },
  { owner: SHARED, name: "OTHER", value: "shared-other" },
  { owner: tenant("acme"), name: "TOKEN", value: "acme-token" },
  { owner: tenant("beta"), name: "TOKEN", value: "beta-token" },
  { owner: principal("acme", "uid:1"), name: "TOKEN", value: "one-token" },
];

const REFUSED = ["secrets_damaged", "secrets_unavailable"];

describe.each(FORMATS)("a %s file", (ending) => {
  const path = `secrets.${ending}`;
  const given = ending === "env" ? SECRETS.slice(0, 2) : SECRETS;

  test("with any one byte changed serves nobody, or everybody as before", async () => {
    const text = Buffer.from(await madeFile(path, given));
    const before = await seen(path, text);
    expect(Object.keys(before)).toHaveLength(given.length);
    let refused = 0;
    for (let at = 0; at < text.length; at++) {
      const bad = Buffer.from(text);
      // Alternately a neighbour in its class (a letter stays one) and a byte that is no ascii.
      bad[at] = (bad[at] ?? 0) ^ (at % 5 === 4 ? 0x80 : 0x01);
      const after = await seen(path, bad);
      if (typeof after === "string") {
        expect(REFUSED).toContain(after);
        refused++;
      } else expect<unknown>({ at, after }).toEqual({ at, after: before });
    }
    // Every byte of a value and of the data key counts; those of labels need not.
    expect(refused).toBeGreaterThan(text.length / 2);
  }, 60_000);

  test("cut off anywhere serves nobody, or everybody as before", async () => {
    const text = await madeFile(path, given);
    const before = await seen(path, text);
    for (let at = 0; at < text.length; at += 7) {
      const after = await seen(path, text.slice(0, at));
      if (typeof after === "string") expect(REFUSED).toContain(after);
      else expect<unknown>({ at, after }).toEqual({ at, after: before });
    }
  });
});

describe("what an attacker who can write the file may try", () => {
  const path = "secrets.yaml";
  const at = (document: Document, keys: readonly string[]) => String(document.getIn(keys));

  const ATTEMPTS: readonly (readonly [string, (document: Document) => void])[] = [
    [
      "swaps two values",
      (document) => {
        const [one, other] = [at(document, ["TOKEN"]), at(document, ["OTHER"])];
        document.setIn(["TOKEN"], other);
        document.setIn(["OTHER"], one);
      },
    ],
    [
      "gives a tenant the secret of another",
      (document) => document.setIn(["tenants", "beta", "TOKEN"], at(document, ["tenants", "acme", "TOKEN"])),
    ],
    [
      "swaps the secrets of two tenants",
      (document) => {
        const [acme, beta] = [document.getIn(["tenants", "acme"]), document.getIn(["tenants", "beta"])];
        document.setIn(["tenants", "acme"], beta);
        document.setIn(["tenants", "beta"], acme);
      },
    ],
    [
      "renames a tenant",
      (document) => {
        document.setIn(["tenants", "gamma"], document.getIn(["tenants", "acme"]));
        document.deleteIn(["tenants", "acme"]);
      },
    ],
    [
      "renames a secret",
      (document) => {
        document.setIn(["STOLEN"], at(document, ["TOKEN"]));
        document.deleteIn(["TOKEN"]);
      },
    ],
    ["drops a secret", (document) => void document.deleteIn(["OTHER"])],
    [
      "makes a tenant's secret everybody's",
      (document) => document.setIn(["NEW"], at(document, ["tenants", "acme", "TOKEN"])),
    ],
    ["copies a secret", (document) => document.setIn(["COPY"], at(document, ["TOKEN"]))],
    ["adds a plaintext", (document) => document.setIn(["NEW"], "planted")],
    ["puts a plaintext in the place of a secret", (document) => document.setIn(["TOKEN"], "planted")],
    [
      "adds a secret of a key of his own",
      (document) => document.setIn(["NEW"], seal(Buffer.from("planted"), new Uint8Array(32), "NEW:")),
    ],
    [
      "writes a principal's path as a tenant's name",
      (document) => {
        document.setIn(
          ["tenants", "acme:principals:uid:1", "TOKEN"],
          document.getIn(["tenants", "acme", "principals", "uid:1", "TOKEN"]),
        );
        document.deleteIn(["tenants", "acme", "principals"]);
      },
    ],
    [
      "adds a plaintext that the rule leaves alone",
      (document) => document.setIn(["NEW_unencrypted"], "planted"),
    ],
    [
      "adds an empty rule-free table with values",
      (document) => document.setIn(["x_unencrypted", "TOKEN"], "planted"),
    ],
    ["has every key left unencrypted", (document) => document.setIn(["sops", "unencrypted_suffix"], "N")],
    [
      "has the MAC leave out plaintexts",
      (document) => document.setIn(["sops", "mac_only_encrypted"], "true"),
    ],
    ["takes the MAC away", (document) => void document.deleteIn(["sops", "mac"])],
    ["empties the MAC", (document) => document.setIn(["sops", "mac"], "")],
    ["takes the metadata away", (document) => void document.deleteIn(["sops"])],
    [
      "sets the time of the change back",
      (document) => document.setIn(["sops", "lastmodified"], "2020-01-01T00:00:00Z"),
    ],
    ["adds a second rule", (document) => document.setIn(["sops", "encrypted_regex"], "^X$")],
  ];

  test.each(ATTEMPTS)("who %s, has it refused", async (_what, change) => {
    const document = parseDocument(await madeFile(path, SECRETS), { schema: "failsafe" });
    if (!isMap(document.contents)) throw new TypeError("not a map");
    change(document as unknown as Document);
    expect(await seen(path, rendered(document.contents))).toBe("secrets_damaged");
  });

  test("and rewriting the file as it is changes nothing", async () => {
    const text = await madeFile(path, SECRETS);
    const document = parseDocument(text, { schema: "failsafe" });
    if (!isMap(document.contents)) throw new TypeError("not a map");
    expect(await seen(path, rendered(document.contents))).toEqual(await seen(path, text));
  });

  test.each([
    ["an empty value", 'NEW: ""\n'],
    ["a null", "NEW: null\n"],
    ["an empty map", "NEW: {}\n"],
    ["a comment", "# planted\n"],
  ])("%s can be added, and is no secret", async (_what, line) => {
    const text = await madeFile(path, SECRETS);
    expect(await seen(path, line + text)).toEqual(await seen(path, text));
  });

  test("a number that is not encrypted is refused where numbers are", async () => {
    const only = await madeFile(path, SECRETS);
    expect(await seen(path, `PORT: 5432\n${only}`)).toBe("secrets_damaged");
    const partly = fixture("mac-only-encrypted.enc.yaml");
    expect(await seen(path, `B: 5\n${partly}`, await fixtureIdentities())).toBe("secrets_damaged");
  });

  test("a principal's path, written as a tenant's name where order and place stay the same, is refused", async () => {
    const text = await madeFile(path, SECRETS);
    const moved = text.replace(
      /^ {8}principals:\n {12}uid:1:\n {16}TOKEN:/m,
      "    acme:principals:uid:1:\n        TOKEN:",
    );
    expect(moved).not.toBe(text);
    expect(await seen(path, moved)).toBe("secrets_damaged");
  });

  test("an empty value of a tenant hides nothing", async () => {
    const text = await madeFile(path, SECRETS);
    const planted = text.replace("    beta:\n", '    beta:\n        OTHER: ""\n');
    expect(planted).not.toBe(text);
    expect(await seen(path, planted)).toEqual(await seen(path, text));
  });

  test("a value added in a further document is refused, and so is one taken from there", async () => {
    const text = await madeFile(path, SECRETS);
    expect(await seen(path, `${text}---\nTOKEN: ${/^TOKEN: (.*)$/m.exec(text)?.[1]}\n`)).toBe(
      "secrets_damaged",
    );
    const two = fixture("mixed.enc.yaml");
    expect(await seen(path, two.slice(0, two.indexOf("\n---\n") + 1), await fixtureIdentities())).toBe(
      "secrets_damaged",
    );
  });

  test("a list in another order is refused", async () => {
    const text = fixture("mixed.enc.yaml");
    const items = [...text.matchAll(/^ {4}- ENC.*\n/gm)].map(([item]) => item);
    const [one = "", other = ""] = items;
    expect(one).not.toBe("");
    const swapped = text.replace(one + other, other + one);
    expect(await seen(path, swapped, await fixtureIdentities())).toBe("secrets_damaged");
  });

  test.each([
    ["an anchor", "A: &a x\n"],
    ["an alias", "A: &a x\nB: *a\n"],
    ["a tag", "A: !!binary x\n"],
    ["a merge", "<<: {A: x}\nA: x\n"],
    ["a directive", "%YAML 1.1\n---\n"],
    ["a key that is no text", "1: x\n"],
    ["a key twice", "A: ''\nA: ''\n"],
    ["deep nesting", `A: ${"[".repeat(10_000)}\n`],
  ])("%s is refused", async (_what, line) => {
    expect(await seen(path, line + (await madeFile(path, SECRETS)))).toBe("secrets_damaged");
  });

  test("JSON with a member twice is refused", async () => {
    const text = await madeFile("secrets.json", SECRETS);
    expect(await seen("secrets.json", text.replace("{", '{"TOKEN": "",'))).toBe("secrets_damaged");
  });
});

function rendered(contents: YAMLMap): string {
  const document = new Document(undefined, { schema: "failsafe" });
  document.contents = contents as never;
  return document.toString({ lineWidth: 0 });
}
