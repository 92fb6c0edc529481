/** What a request brings to be recognised by, as the headers were sent: every value of each. */
export interface PresentedHeaders {
  readonly authorization: readonly string[];
  readonly dpop: readonly string[];
}

export type CredentialFault =
  | "no authorization"
  | "repeated authorization"
  | "other scheme"
  | "empty token"
  | "no proof"
  | "repeated proof";

const SCHEME = "DPoP ";

/**
 * The token and the proof of a request, or what is wrong with them, in the order in which it is looked for.
 * A header sent twice is refused: two readers might each take another one.
 */
export function readCredentials(
  headers: PresentedHeaders,
): { readonly token: string; readonly proof: string } | CredentialFault {
  const [authorization, secondAuthorization] = headers.authorization;
  if (authorization === undefined) return "no authorization";
  if (secondAuthorization !== undefined) return "repeated authorization";
  if (!authorization.startsWith(SCHEME)) return "other scheme";
  const [proof, secondProof] = headers.dpop;
  if (proof === undefined) return "no proof";
  if (secondProof !== undefined) return "repeated proof";
  const token = authorization.slice(SCHEME.length);
  return token === "" ? "empty token" : { token, proof };
}
