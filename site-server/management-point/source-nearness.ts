import { BlockList, isIP } from 'node:net';

/** How near a source is to a client, nearest first; a source's rank is its place here, from 1. */
export const sourceNearnesses = ['same-machine', 'same-network', 'same-site'] as const;

export type SourceNearness = (typeof sourceNearnesses)[number];

/** Networks a client may name. */
export const clientNetworkCountMax = 64;

/** A network of a client: one of its addresses, and how long the network's prefix is. */
export interface ClientNetwork {
  readonly address: string;
  readonly prefixLength: number;
}

/** The network a text such as 192.0.2.7/24 names; undefined when it names none. */
export function parseClientNetwork(text: string): ClientNetwork | undefined {
  const match = /^([0-9A-Fa-f.:]{2,45})\/(\d{1,3})$/.exec(text);
  const [, address = '', length = ''] = match ?? [];
  const prefixLength = Number(length);
  const lengthMax = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return match && prefixLength <= lengthMax ? { address, prefixLength } : undefined;
}

/**
 * How near a DP is to a client with these networks. Only a host that is an IP address tells: names are
 * not resolved, since what they resolve to here may be another machine there.
 *
 * @param address host:port of the DP's agent
 * @param callerAddress IP address and port the client calls from
 */
export function nearnessOf(
  address: string,
  client: { readonly networks: readonly ClientNetwork[]; readonly callerAddress: string },
): SourceNearness {
  const host = hostOf(address);
  if (isIP(host) === 0) return host === 'localhost' ? nearHere(client) : 'same-site';
  if (isLoopback(host)) return nearHere(client);
  if (client.networks.some((network) => network.address === host)) return 'same-machine';
  return client.networks.some((network) => isIn(host, network)) ? 'same-network' : 'same-site';
}

/** A DP on the site's own machine is near to who calls from there, and is nobody else's loopback. */
function nearHere({ callerAddress }: { readonly callerAddress: string }): SourceNearness {
  return isLoopback(hostOf(callerAddress)) ? 'same-machine' : 'same-site';
}

function isIn(host: string, { address, prefixLength }: ClientNetwork): boolean {
  const family = isIP(address);
  if (family !== isIP(host)) return false;
  const network = new BlockList();
  network.addSubnet(address, prefixLength, family === 4 ? 'ipv4' : 'ipv6');
  return network.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

function isLoopback(host: string): boolean {
  return host.startsWith('127.') || host === '::1' || host.startsWith('::ffff:127.');
}

function hostOf(address: string): string {
  return address
    .slice(0, address.lastIndexOf(':'))
    .replace(/^(ipv4|ipv6):/, '')
    .replace(/^\[|\]$/g, '');
}
