import type { NetworkInterfaceInfo } from 'node:os';

/** Most networks a management point is told of: management_point.proto. */
const networkCountMax = 64;

/**
 * The addresses of this machine with the length of their network's prefix, such as 192.0.2.7/24, so
 * that the nearest sources come first. Addresses that every machine has, `fe80::…`, say nothing.
 *
 * @param interfaces as `os.networkInterfaces()` gives them
 */
export function toClientNetworks(
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): string[] {
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  const telling = all.filter(({ address }) => !/^fe[89ab]/i.test(address));
  // Loopback last: it finds a source on this machine, and no other.
  const inOrder = telling.toSorted((a, b) => Number(a.internal) - Number(b.internal));
  const networks = inOrder.flatMap(({ cidr }) => (cidr === null ? [] : [cidr]));
  return [...new Set(networks)].slice(0, networkCountMax);
}
