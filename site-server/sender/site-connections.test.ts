import assert from 'node:assert/strict';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { type SiteChannel, SiteConnections } from './site-connections.ts';

describe('site connections', () => {
  const clock = new FakeClock();
  let opened: { options: RpcChannelOptions<'SiteTransfer'>; isClosed: boolean }[];
  let connections: SiteConnections;
  beforeEach(() => {
    opened = [];
    connections = new SiteConnections({
      ...{ credentials: {} as PeerCredentials, clock },
      openChannel: (options) => {
        const channel = { options, isClosed: false };
        opened.push(channel);
        const close = () => {
          channel.isClosed = true;
        };
        return { close } as unknown as SiteChannel;
      },
    });
  });
  afterEach(() => connections.stop());

  const use = (address = 'a:1', siteCode = 'PS1') =>
    connections.use({ siteCode, address }, async (channel) => channel);

  it('speak to the very site that is meant, and to nobody else (SEC-1)', async () => {
    await use();
    const expected = opened[0]?.options.expected;
    assert.equal(expected?.({ kind: 'site', siteCode: 'PS1' }), true);
    assert.equal(expected?.({ kind: 'site', siteCode: 'PS2' }), false);
    assert.equal(expected?.({ kind: 'dp', dpId: 'PS1' }), false);
  });

  it('share one channel to an address, and close it when nobody has used it for a while', async () => {
    const [first, second, other] = await Promise.all([use(), use(), use('b:1')]);
    assert.equal(second, first);
    assert.notEqual(other, first);
    await clock.advance(59_999);
    assert.equal(await use(), first);
    await clock.advance(59_999);
    assert.deepEqual(
      opened.map(({ isClosed }) => isClosed),
      [false, true],
    );
    await clock.advance(1);
    assert.equal(opened[0]?.isClosed, true);
    assert.notEqual(await use(), first);
  });

  it('are all closed at the end', async () => {
    await use();
    await connections.stop();
    await connections.stop();
    assert.equal(opened[0]?.isClosed, true);
  });
});
