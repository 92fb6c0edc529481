/** A scheme of a usual length, so that a long text without one is passed over in linear time. */
const URL = /\b([a-z][a-z0-9+.-]{1,20}):\/\/([^\s/?#"'<>`\\]*)([^\s"'<>`\\]*)/gi;

/**
 * The text with each URL in it as `scheme://host[:port]/…`: path and query of a signed URL are a credential as good as
 * any, and so is a user name with its password.
 */
export function shortenUrls(text: string): string {
  return text.replace(URL, (_, scheme: string, authority: string, rest: string) => {
    const host = authority.slice(authority.lastIndexOf("@") + 1);
    return `${scheme}://${host}${rest === "" || rest === "/" ? rest : "/…"}`;
  });
}
