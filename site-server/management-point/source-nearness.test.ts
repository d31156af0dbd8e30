import assert from 'node:assert/strict';
import { nearnessTo, parseClientNetwork } from './source-nearness.ts';

const networks = ['192.0.2.7/24', '2001:db8::7/64'].map(
  (text) => parseClientNetwork(text) ?? assert.fail(text),
);
const client = { networks, callerAddress: '192.0.2.7:4711' };

describe('nearness of a source', () => {
  it('is told by literal addresses only (CLIENT-1)', () => {
    const nearnesses = {
      '192.0.2.7:8531': 'same-machine',
      '192.0.2.200:8531': 'same-network',
      '192.0.3.1:8531': 'same-site',
      '[2001:db8::7]:8531': 'same-machine',
      '[2001:db8::1:1]:8531': 'same-network',
      '[2001:db8:1::1]:8531': 'same-site',
      'dp1.example.org:8531': 'same-site',
      '127.0.0.1:8531': 'same-site',
    };
    for (const [address, nearness] of Object.entries(nearnesses)) {
      assert.equal(nearnessTo(client)(address), nearness, address);
    }
  });

  it('of a loopback address is that of a caller on the same machine (CLIENT-1)', () => {
    for (const callerAddress of ['127.0.0.1:1', '[::1]:1', 'ipv6:[::ffff:127.0.0.1]:1']) {
      const local = { networks: [], callerAddress };
      assert.equal(nearnessTo(local)('127.0.0.1:8531'), 'same-machine', callerAddress);
      assert.equal(nearnessTo(local)('localhost:8531'), 'same-machine', callerAddress);
    }
  });

  it('takes no network that is none (SEC-4)', () => {
    for (const text of [
      '',
      '192.0.2.7',
      '192.0.2.7/33',
      'a/24',
      '1.2.3/8',
      '::1/129',
      '1.2.3.4/-1',
    ]) {
      assert.equal(parseClientNetwork(text), undefined, text);
    }
  });
});
