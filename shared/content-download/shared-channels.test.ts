import assert from 'node:assert/strict';
import type { PullSource } from '../domain/pull-source.ts';
import { SharedChannels } from './shared-channels.ts';
import type { ContentChannel } from './source-connection.ts';

const sourceAt = (dpId: string, address: string): PullSource => ({
  identity: { kind: 'dp', dpId },
  address,
  rank: 1,
});

describe('channels to sources', () => {
  let opened: string[];
  let closed: string[];
  let channels: SharedChannels;

  beforeEach(() => {
    opened = [];
    closed = [];
    channels = new SharedChannels(({ address }) => {
      opened.push(address);
      return { close: () => void closed.push(address) } as unknown as ContentChannel;
    });
  });

  it('are shared by downloads from one source, until the last one closes it', () => {
    const users = [1, 2].map(() => channels.open(sourceAt('PS1DP1', 'a:1')));
    assert.deepEqual(opened, ['a:1']);
    users[0]?.close();
    users[0]?.close();
    assert.deepEqual(closed, []);
    users[1]?.close();
    assert.deepEqual(closed, ['a:1']);
    channels.open(sourceAt('PS1DP1', 'a:1'));
    assert.deepEqual(opened, ['a:1', 'a:1']);
  });

  it('are never those of another identity, or another address', () => {
    channels.open(sourceAt('PS1DP1', 'a:1'));
    channels.open(sourceAt('PS1DP2', 'a:1'));
    channels.open(sourceAt('PS1DP1', 'b:1'));
    assert.deepEqual(opened, ['a:1', 'a:1', 'b:1']);
  });

  it('are used by so many only that a server takes all their calls', () => {
    const users = Array.from({ length: 17 }, () => channels.open(sourceAt('PS1DP1', 'a:1')));
    assert.equal(opened.length, 3);
    for (const user of users) user.close();
    assert.equal(closed.length, 3);
  });
});
