/** What a parameter may be called: an RFC 6570 variable name without dots and percent-encodings. */
export const PARAMETER_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

/** Names that every JavaScript object answers to; as parameters they would be there without being sent. */
export function isInherited(name: string): boolean {
  return name in Object.prototype;
}

/** Ids as the published clients accept them, see the API reference. */
export const ACTION_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

/** Semantic Versioning 2.0.0 without build metadata. */
export const VERSION =
  /^(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})\.(?:0|[1-9]\d{0,8})(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

/** Labels such as tags and effects. */
export const LABEL = /^[a-z][a-z0-9_-]{0,63}$/;

/** Scopes as leases carry them: 4 to 64 characters, a colon inside. */
export const SCOPE = /^(?=.{4,64}$)[a-z][a-z0-9_-]*:[a-z0-9:_-]*[a-z0-9_-]$/;
