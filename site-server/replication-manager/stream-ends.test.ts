import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { NeighbourStates } from './neighbour-states.ts';
import { RefusedByPeer } from './replication-session.ts';
import { endedByOther, StreamEnds } from './stream-ends.ts';

const sites = [
  { siteCode: 'CS1', kind: 'central-administration', parentSiteCode: '' },
  { siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CS1' },
] as const;

describe('ends of streams with neighbours', () => {
  let log: CapturedLog;
  let states: NeighbourStates;
  let ends: StreamEnds;

  beforeEach(() => {
    log = new CapturedLog();
    states = new NeighbourStates(new FakeClock(), 1_000);
    const definitions = sites.map((site) => ({ ...site, address: 'a:1', description: '' }));
    ends = new StreamEnds(
      {
        ...{ states, logger: log.logger, store: { write: async () => {} } },
        directory: {
          own: { siteCode: 'CS1', kind: 'central-administration' },
          tree: new SiteTree(definitions),
        },
        status: { message: () => [] },
        auditTrail: { record: () => {} },
        isConnected: () => false,
      },
      { retryDelayMs: 1_000 },
    );
  });

  /** Level and reason of the only line. */
  async function notedAs(error: unknown): Promise<[number, unknown]> {
    states.connected('PS1');
    await ends.note('PS1', error);
    const [line] = log.lines as { level: number; reason?: unknown }[];
    return [line?.level ?? 0, line?.reason];
  }

  it('say that the connection was lost, not which call is over', async () => {
    const lost = await notedAs(new AbortError('The call is over'));
    assert.deepEqual(lost, [30, 'its connection was lost']);
    assert.equal(states.of('PS1').reason, 'its connection was lost');
  });

  it('say that the other side ended it', async () => {
    assert.deepEqual(await notedAs(new AbortError(endedByOther)), [30, 'it ended the connection']);
  });

  it('are a warning when the other side refuses this one: it stays apart until somebody acts', async () => {
    const refused = new WaybillError({ code: 'SITE_UNKNOWN', siteCode: 'PS1' });
    const [level, reason] = await notedAs(refused);
    assert.equal(level, 40);
    assert.match(String(reason), /^site PS1 refused: There is no site PS1/);
  });

  it('are a warning when it says so on the stream', async () => {
    assert.equal((await notedAs(new RefusedByPeer('refused')))[0], 40);
  });

  it('are no warning when it cannot be reached', async () => {
    const facts = { peer: 'site PS1', address: 'a:1', reason: 'nothing listens there' };
    const [level] = await notedAs(new WaybillError({ code: 'PEER_UNREACHABLE', ...facts }));
    assert.equal(level, 30);
  });
});
