import { promises as dns } from "node:dns";
import { HostFailure } from "../failure.ts";

export interface DnsAnswer {
  readonly address: string;
  /** Seconds. */
  readonly ttl: number;
}

/**
 * Every address of a name, IPv4 first; empty when it has none. Rejects when any part of the answer is missing, and
 * with the signal's reason once it is aborted.
 */
export type Resolve = (host: string, signal: AbortSignal) => Promise<readonly DnsAnswer[]>;

/**
 * Resolves with c-ares, which asks the name servers itself: no hosts file, no search list, no number spellings, and a
 * hung name does not hold up the thread pool, as getaddrinfo would. `servers` are `address[:port]` literals; the
 * system's by default.
 */
export function nameResolver(servers: readonly string[] | null): Resolve {
  return async (host, signal) => {
    signal.throwIfAborted();
    // The caller's timer is shorter than this one; it only makes an abandoned query end by itself.
    const resolver = new dns.Resolver({ timeout: 5000, tries: 1 });
    if (servers !== null) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const [v4, v6] = await Promise.all([
        records(resolver.resolve4(host, { ttl: true })),
        records(resolver.resolve6(host, { ttl: true })),
      ]);
      return [...v4, ...v6];
    } catch (cause) {
      signal.throwIfAborted();
      throw new HostFailure("dns_failed", "name could not be resolved", { cause });
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };
}

async function records(query: Promise<readonly DnsAnswer[]>): Promise<readonly DnsAnswer[]> {
  try {
    return await query;
  } catch (thrown) {
    // "There is none of this type" is an answer; a timeout or a refusal is not.
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : null;
    if (code === dns.NODATA || code === dns.NOTFOUND) return [];
    throw thrown;
  }
}
