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

/** A client, as far as it tells where it is. */
export interface ClientPlace {
  readonly networks: readonly ClientNetwork[];
  /** IP address and port the client calls from. */
  readonly callerAddress: string;
}

/**
 * Tells of each DP's address, host:port of its agent, how near that is to a client. Only a host that is
 * an IP address tells: names are not resolved, since what they resolve to here may be another machine
 * there.
 */
export function nearnessTo(client: ClientPlace): (address: string) => SourceNearness {
  const isOwn = new Set(client.networks.map(({ address }) => address));
  const near = toBlockList(client.networks);
  const here = isLoopback(hostOf(client.callerAddress)) ? 'same-machine' : 'same-site';
  return (address) => {
    const host = hostOf(address);
    const family = isIP(host);
    // A DP on the site's own machine is near to who calls from there, and is nobody else's loopback.
    if (host === 'localhost' || (family !== 0 && isLoopback(host))) return here;
    if (family === 0) return 'same-site';
    if (isOwn.has(host)) return 'same-machine';
    return near.check(host, family === 4 ? 'ipv4' : 'ipv6') ? 'same-network' : 'same-site';
  };
}

function toBlockList(networks: readonly ClientNetwork[]): BlockList {
  const list = new BlockList();
  for (const { address, prefixLength } of networks) {
    list.addSubnet(address, prefixLength, isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
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
