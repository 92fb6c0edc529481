/** C2SP/wycheproof, Ed25519: through the admission and the verification that entries go through. */
import { expect, test } from "bun:test";
import { verify } from "node:crypto";
import { admitEd25519 } from "../../src/keys/admission.ts";
import { openJws, protectedHeader, verifyJws } from "../../src/ledger/entry/jws.ts";
import vectors from "../vectors/wycheproof/ed25519_test.json";

test("the file is whole", () => {
  expect(vectors.testGroups.flatMap((group) => group.tests)).toHaveLength(vectors.numberOfTests);
});

const kid = "A".repeat(43);

for (const group of vectors.testGroups) {
  const key = admitEd25519({
    kty: "OKP",
    crv: "Ed25519",
    x: Buffer.from(group.publicKey.pk, "hex").toString("base64url"),
  });
  for (const { tcId, comment, msg, sig, result } of group.tests)
    test(`${tcId} ${comment || "plain"}: ${result}`, () => {
      const signature = Buffer.from(sig, "hex");
      const message = Buffer.from(msg, "hex");
      // An entry's signature has 64 bytes before it is looked at any closer.
      const head = Buffer.from(protectedHeader(kid)).toString("base64url");
      const opened = openJws(`${head}.e30.${signature.toString("base64url")}`);
      expect(opened !== null).toBe(signature.length === 64);
      const bytes = key !== null && opened !== null && verify(null, message, key, opened.signature);
      expect(bytes).toBe(result === "valid");
      if (key === null || opened === null) return;
      const input = message.toString("utf8");
      if (Buffer.from(input).equals(message))
        expect(verifyJws({ ...opened, input }, key)).toBe(result === "valid");
    });
}
