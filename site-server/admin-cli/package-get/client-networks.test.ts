import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { toClientNetworks } from './client-networks.ts';

function address(cidr: string, internal = false): NetworkInterfaceInfo {
  const [text = ''] = cidr.split('/');
  const common = { address: text, netmask: '', mac: '', internal, cidr };
  return text.includes(':')
    ? { ...common, family: 'IPv6', scopeid: 0 }
    : { ...common, family: 'IPv4' };
}

describe('the networks a client tells of (CLIENT-1)', () => {
  it('are those of its interfaces, loopback last, each once, without link-local ones', () => {
    const networks = toClientNetworks({
      lo: [address('127.0.0.1/8', true), address('::1/128', true)],
      eth0: [address('192.0.2.7/24'), address('2001:db8::7/64'), address('fe80::1/64')],
      eth1: [address('192.0.2.7/24')],
      down: undefined,
    });
    assert.deepEqual(networks, ['192.0.2.7/24', '2001:db8::7/64', '127.0.0.1/8', '::1/128']);
  });

  it('are 64 at most', () => {
    const many = Array.from({ length: 100 }, (_, index) => address(`10.0.${index}.1/24`));
    assert.equal(toClientNetworks({ lo: [address('127.0.0.1/8', true)], many }).length, 64);
  });
});
