import assert from 'node:assert/strict';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { testDistributionPoint as dp } from '../../shared/testing/test-distribution-point.ts';
import {
  type DistributionPointChannel,
  DistributionPointConnections,
} from './distribution-point-connections.ts';

/** A channel that was opened, and what became of it. */
interface OpenedChannel {
  readonly options: RpcChannelOptions<'DistributionPoint'>;
  isClosed: boolean;
  asked: { method: string; request: object; deadlineMs: number } | undefined;
  answer: () => Promise<object>;
  reach: () => void;
  failToReach: (error: Error) => void;
}

describe('distribution point connections', () => {
  let opened: OpenedChannel[];
  let connections: DistributionPointConnections;

  function openChannel(options: RpcChannelOptions<'DistributionPoint'>): DistributionPointChannel {
    const channel: OpenedChannel = {
      options,
      isClosed: false,
      asked: undefined,
      answer: async () => ({}),
      reach: () => {},
      failToReach: () => {},
    };
    opened.push(channel);
    const reachable = new Promise<void>((resolve, reject) => {
      channel.reach = resolve;
      channel.failToReach = reject;
    });
    reachable.catch(() => {});
    const methods = {
      unary: (method: string, request: object, { deadlineMs }: { deadlineMs: number }) => {
        channel.asked = { method, request, deadlineMs };
        return channel.answer();
      },
      whenReachable: () => reachable,
      close: () => {
        channel.isClosed = true;
        channel.failToReach(new AbortError('The channel was closed'));
      },
    };
    return methods as unknown as DistributionPointChannel;
  }

  beforeEach(() => {
    opened = [];
    const credentials = {} as PeerCredentials;
    connections = new DistributionPointConnections(
      { credentials, openChannel },
      { checkDeadlineMs: 5_000 },
    );
  });

  const never = new AbortController().signal;

  it('opens one channel to each DP, when it is first needed', () => {
    assert.equal(opened.length, 0);
    const first = connections.channelTo(dp());
    assert.equal(connections.channelTo(dp()), first);
    assert.notEqual(connections.channelTo(dp('b:1', 'PS1DP2')), first);
    assert.equal(opened.length, 2);
  });

  it('speaks to the very DP that is meant, and to nobody else (SEC-1)', () => {
    connections.channelTo(dp());
    const { expected } = opened[0]!.options;
    assert.equal(expected({ kind: 'dp', dpId: 'PS1DP1' }), true);
    assert.equal(expected({ kind: 'dp', dpId: 'PS1DP2' }), false);
    assert.equal(expected({ kind: 'site', siteCode: 'PS1' }), false);
    assert.equal(expected({ kind: 'client', name: 'PS1DP1' }), false);
  });

  it('opens a new channel when the address changes, and closes the old one', () => {
    const before = connections.channelTo(dp('a:1'));
    assert.notEqual(connections.channelTo(dp('b:1')), before);
    assert.deepEqual(
      opened.map(({ options, isClosed }) => [options.address, isClosed]),
      [
        ['a:1', true],
        ['b:1', false],
      ],
    );
  });

  it('closes what is forgotten, and everything at the end', async () => {
    connections.channelTo(dp());
    connections.channelTo(dp('b:1', 'PS1DP2'));
    connections.forget('PS1DP1');
    connections.forget('PS1DP9');
    assert.deepEqual(
      opened.map(({ isClosed }) => isClosed),
      [true, false],
    );
    await connections.stop();
    await connections.stop();
    assert.ok(opened.every(({ isClosed }) => isClosed));
  });

  it('asks a DP who it is within its deadline (DM-4)', async () => {
    connections.channelTo(dp());
    const answer = { dpId: 'PS1DP1', siteCode: 'PS1', agentVersion: '1.2.3', freeBytes: '123' };
    opened[0]!.answer = async () => answer;
    const result = await connections.check(dp(), never);
    assert.deepEqual(result, { ...answer, freeBytes: 123 });
    const expected = { method: 'check', request: { dpId: 'PS1DP1' }, deadlineMs: 5_000 };
    assert.deepEqual(opened[0]!.asked, expected);
    const facts = { peer: 'it', address: 'a:1', reason: 'nothing listens there' };
    opened[0]!.answer = async () => {
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
    };
    await assert.rejects(connections.check(dp(), never), (error) =>
      isErrorWithCode(error, 'PEER_UNREACHABLE'),
    );
  });

  it('tells whether a DP can be reached, or is not waited for any more', async () => {
    const reachable = connections.reachable(dp(), never);
    opened[0]!.reach();
    assert.equal(await reachable, true);
    const moved = connections.reachable(dp('b:1'), never);
    connections.channelTo(dp('c:1'));
    assert.equal(await moved, false);
    const failing = connections.reachable(dp('c:1'), never);
    opened[2]!.failToReach(new Error('a bug'));
    await assert.rejects(failing, /a bug/);
  });
});
