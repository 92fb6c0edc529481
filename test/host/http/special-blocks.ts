/**
 * Blocks of the IANA special-purpose address registries (and multicast), each with its first and last address, as
 * answers of a name server write them.
 */
export interface SpecialBlock {
  readonly block: string;
  readonly what: string;
  readonly first: string;
  readonly last: string;
}

const table = (text: string): readonly SpecialBlock[] =>
  text
    .trim()
    .split("\n")
    .map((line) => {
      const [block = "", first = "", last = "", ...what] = line.trim().split(/\s+/);
      return { block, what: what.join(" "), first, last };
    });

export const SPECIAL_BLOCKS: readonly SpecialBlock[] = table(`
  0.0.0.0/8          0.0.0.0                0.255.255.255            this network
  10.0.0.0/8         10.0.0.0               10.255.255.255           private use
  100.64.0.0/10      100.64.0.0             100.127.255.255          shared address space
  127.0.0.0/8        127.0.0.0              127.255.255.255          loopback
  169.254.0.0/16     169.254.169.254        169.254.255.255          link local, cloud metadata
  172.16.0.0/12      172.16.0.0             172.31.255.255           private use
  192.0.0.0/24       192.0.0.0              192.0.0.255              protocol assignments
  192.0.2.0/24       192.0.2.0              192.0.2.255              documentation
  192.31.196.0/24    192.31.196.0           192.31.196.255           AS112
  192.52.193.0/24    192.52.193.0           192.52.193.255           AMT
  192.88.99.0/24     192.88.99.0            192.88.99.255            6to4 relays
  192.168.0.0/16     192.168.0.0            192.168.255.255          private use
  192.175.48.0/24    192.175.48.0           192.175.48.255           AS112
  198.18.0.0/15      198.18.0.0             198.19.255.255           benchmarking
  198.51.100.0/24    198.51.100.0           198.51.100.255           documentation
  203.0.113.0/24     203.0.113.0            203.0.113.255            documentation
  224.0.0.0/4        224.0.0.0              239.255.255.255          multicast
  240.0.0.0/4        240.0.0.0              255.255.255.255          reserved, broadcast
  ::/128             ::                     ::                       unspecified
  ::1/128            ::1                    ::1                      loopback
  ::/96              ::2                    ::ffff:ffff              IPv4-compatible
  ::ffff:0:0/96      ::ffff:808:808         ::ffff:7f00:1            IPv4-mapped
  ::ffff:0:0:0/96    ::ffff:0:808:808       ::ffff:0:7f00:1          IPv4-translated
  64:ff9b::/96       64:ff9b::7f00:1        64:ff9b::a9fe:a9fe       NAT64 of a private address
  64:ff9b:1::/48     64:ff9b:1::808:808     64:ff9b:1:ffff:ffff:ffff:ffff:ffff local NAT64
  100::/64           100::                  100::ffff:ffff:ffff:ffff discard
  100:0:0:1::/64     100:0:0:1::            100::1:ffff:ffff:ffff:ffff dummy prefix
  2001::/32          2001::                 2001:0:f5ff:fffe::       Teredo
  2001::/23          2001:2::               2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff protocol assignments
  2001:db8::/32      2001:db8::             2001:db8:ffff:ffff:ffff:ffff:ffff:ffff documentation
  2002::/16          2002:7f00:1::          2002:808:808::           6to4
  2620:4f:8000::/48  2620:4f:8000::         2620:4f:8000:ffff:ffff:ffff:ffff:ffff AS112
  3fff::/20          3fff::                 3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff documentation
  4000::/2           4000::                 7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff not assigned
  5f00::/16          5f00::                 5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff segment routing
  fc00::/7           fc00::                 fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff unique local
  fe80::/10          fe80::1                febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff link local
  fec0::/10          fec0::                 feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff site local
  ff00::/8           ff02::1                ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff multicast
`);
