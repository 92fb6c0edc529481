import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import { connectionsSchema } from "../../src/config/connections.ts";
import { readConnections } from "../../src/server/connections.ts";

const dir = mkdtempSync(join(tmpdir(), "connections-"));
afterAll(() => rmSync(dir, { recursive: true }));
writeFileSync(join(dir, "ca.pem"), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
writeFileSync(join(dir, "junk.pem"), "junk");

function read(toml: string) {
  return readConnections(connectionsSchema.parse(parse(toml)), dir);
}

const ORDERS = `[[database]]
name = "orders"
host = "db.example.com"
database = "shop"
user = "gate"
password_secret = "ORDERS_PASSWORD"
ca_file = "ca.pem"
`;

/** One of each kind beside databases, as small as it may be. */
const OTHERS = {
  smtp: '[[smtp]]\nname = "a"\nhost = "h.example"\nfrom = "ann@example.com"\n',
  amqp: '[[amqp]]\nname = "a"\nhost = "h.example"\nuser = "gate"\n',
  s3: '[[s3]]\nname = "a"\nhost = "h.example"\naccess_key_id = "k"\nsecret_key_secret = "S3_KEY"\n',
};

test("an endpoint has its facts, the name of its secret and its authorities, and no credential", () => {
  expect(read(ORDERS).database.get("orders")).toEqual({
    target: {
      engine: "postgresql",
      host: "db.example.com",
      port: 5432,
      database: "shop",
      user: "gate",
      schema: "public",
      tls: "verify",
    },
    secret: "ORDERS_PASSWORD",
    ca: expect.stringContaining("BEGIN CERTIFICATE"),
    tables: null,
  });
  const lite = read('[[database]]\nname = "lite"\nengine = "sqlite"\nfile = "shop.db"\n');
  expect(lite.database.get("lite")?.target).toEqual({ engine: "sqlite", file: join(dir, "shop.db") });
});

describe("an endpoint is refused", () => {
  test.each([
    [
      "that sends in clear text to another machine",
      ORDERS.replace('ca_file = "ca.pem"', 'tls = "off"'),
      "literal loopback",
    ],
    [
      "that sends in clear text to a name",
      ORDERS.replace("db.example.com", "localhost").replace('ca_file = "ca.pem"', 'tls = "off"'),
      "literal loopback",
    ],
    ["whose authorities cannot be read", ORDERS.replace("ca.pem", "none.pem"), "cannot read ca_file"],
    ["whose authorities are none", ORDERS.replace("ca.pem", "junk.pem"), "no pem certificate"],
    ["without a user", ORDERS.replace('user = "gate"\n', ""), "needs host, database and user"],
    ["with a file beside its host", `${ORDERS}file = "x"\n`, "file is for sqlite"],
    ["whose name is taken", `${ORDERS}\n${ORDERS}`, "taken twice"],
    [
      "as sqlite on the gate's own log",
      '[[database]]\nname = "a"\nengine = "sqlite"\nfile = "./ledger.db"\n',
      "own evidence",
    ],
    ["as sqlite without a file", '[[database]]\nname = "a"\nengine = "sqlite"\n', "needs file"],
    [
      "as sqlite with a host",
      '[[database]]\nname = "a"\nengine = "sqlite"\nfile = "f"\nhost = "h"\n',
      "no server",
    ],
    [
      "as mail server with a sender that is more than an address",
      '[[smtp]]\nname = "a"\nhost = "h"\nfrom = "Ann <ann@example.com>"\n',
      "bare address",
    ],
  ])("%s", (_, toml, message) => {
    expect(() => read(toml)).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(message) }),
    );
  });

  test("whose host is no name, or whose secret is a value", () => {
    for (const bad of [
      ORDERS.replace("db.example.com", "db.example.com:5432"),
      ORDERS.replace("db.example.com", "u:p@db"),
      ORDERS.replace("db.example.com", "DB.example.com"),
      ORDERS.replace("ORDERS_PASSWORD", "hunter2!"),
      ORDERS.replace('name = "orders"', 'name = "or ders"'),
    ])
      expect(connectionsSchema.safeParse(parse(bad)).success).toBe(false);
    expect(connectionsSchema.safeParse(parse(ORDERS)).success).toBe(true);
  });

  for (const [kind, toml] of Object.entries(OTHERS))
    test(`of kind ${kind} without a host, with more than one in its place, or under a name that is taken`, () => {
      expect(() => read(toml)).not.toThrow();
      for (const host of ["not a host", "https://h.example/", "h.example:25", "user:pass@h.example", ""])
        expect([host, safe(toml.replace('"h.example"', JSON.stringify(host)))]).toEqual([host, false]);
      expect(safe(toml.replace('host = "h.example"\n', ""))).toBe(false);
      expect(() => read(`${toml}\n${toml}`)).toThrow(
        expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("taken twice") }),
      );
    });

  const ENTRIES: Readonly<Record<string, string>> = {
    database: ORDERS,
    smtp: '[[smtp]]\nname = "a"\nhost = "h"\nfrom = "gate@example.com"\n',
    amqp: '[[amqp]]\nname = "a"\nhost = "h"\nuser = "gate"\n',
    s3: '[[s3]]\nname = "a"\nhost = "h"\naccess_key_id = "AKID"\nsecret_key_secret = "S3_SECRET"\n',
  };
  test.each(Object.keys(ENTRIES))(
    "of %s that begins TLS in a way of its own, or has a credential in it",
    (kind) => {
      const entry = ENTRIES[kind] ?? "";
      const taken = (toml: string) => connectionsSchema.safeParse(parse(toml)).success;
      expect(taken(entry)).toBe(true);
      for (const more of [
        ...["prefer", "require", "allow", "starttls", "verify-ca", "", "OFF"].map((one) => `tls = "${one}"`),
        ...["plain", "none", "smtp", ""].map((one) => `start = "${one}"`),
        'url = "x://gate:hunter2@h"',
        'engine = "mysql"',
        'engine = "mariadb"',
        'password = "hunter2"',
        'secret_access_key = "hunter2"',
      ])
        expect([more, taken(`${entry}${more}\n`)]).toEqual([more, false]);
    },
  );

  test("for a sender that is a secret's value by mistake, and the message does not repeat it", () => {
    const entry = ENTRIES.smtp?.replace("gate@example.com", "hunter2 hunter2") ?? "";
    let message = "";
    try {
      read(entry);
    } catch (thrown) {
      message = thrown instanceof Error ? `${thrown.message} ${JSON.stringify(thrown)}` : "";
    }
    expect(message).toContain("bare address");
    expect(message).not.toContain("hunter2");
  });
});

test("TLS is verified wherever nothing is said of it", () => {
  const { database, mail, queue, storage } = read(`${ORDERS}
[[smtp]]
name = "a"
host = "h"
from = "gate@example.com"
[[amqp]]
name = "a"
host = "h"
user = "gate"
[[s3]]
name = "a"
host = "h"
access_key_id = "AKID"
secret_key_secret = "S3_SECRET"
`);
  expect(database.get("orders")?.target).toMatchObject({ tls: "verify" });
  expect(mail.get("a")?.server).toMatchObject({ tls: "verify", start: "starttls", port: 587 });
  expect(queue.get("a")?.server).toMatchObject({ tls: "verify", port: 5671 });
  expect(storage.get("a")?.endpoint).toMatchObject({ tls: "verify", port: 443 });
});

const safe = (toml: string) => connectionsSchema.safeParse(parse(toml)).success;
