import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { KnownCertificate } from '../../shared/domain/known-certificate.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { testSendRequest } from '../../shared/testing/test-send-request.ts';
import type { NeighbourConnection } from '../replication-manager/neighbour-states.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { toldMax } from './alarm-table.ts';
import { AlarmWatch } from './alarm-watch.ts';

const minuteMs = 60_000;
const away = { connected: false, reason: 'connection refused' };
const unreachable = {
  ...({ state: 'pending-restart', waitingReason: 'dp-unreachable', reason: 'refused' } as const),
};
const failing = {
  ...({ state: 'pending-restart', waitingReason: 'retry-at', reason: 'It was refused' } as const),
};

describe('Alarm watch', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let status: StatusManager;
  let clock: FakeClock;
  let watch: AlarmWatch;
  let jobs: DistributionJob[];
  let sends: SendRequest[];
  let neighbours: NeighbourConnection[];
  let certificates: KnownCertificate[];
  let identities: { siteCode: string; signedAtMs: number }[];
  let opensAtMs: (passages: readonly string[]) => number | undefined;
  let passedOver: Map<string, number>;
  let noProgressMs: number;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    [jobs, sends, neighbours, identities, noProgressMs] = [[], [], [], [], 30 * minuteMs];
    certificates = [];
    passedOver = new Map();
    opensAtMs = () => clock.nowMs();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('db'), logger }));
    status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
    watch = newWatch();
    await watch.start();
  });

  afterEach(async () => {
    await watch.stop();
    await status.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  function newWatch(): AlarmWatch {
    return new AlarmWatch({
      ...{ store, status, clock, logger: new CapturedLog().logger },
      jobs: { open: () => jobs },
      sends: { open: () => sends },
      transfers: { waitOf: () => undefined, holdReason: '' },
      neighbours: () => neighbours,
      certificates: () => certificates,
      identities: () => identities,
      passedOverRevocations: () => passedOver,
      arbiter: { opensAtMs: (passages) => opensAtMs(passages) },
      transferControls: {
        passagesToDp: (dpId) => [`dp/${dpId}`],
        passagesToSite: (siteCode) => [`route/${siteCode}`],
      },
      hierarchy: { kindOf: (dpId) => (dpId.startsWith('PULL') ? 'pull' : 'standard') },
      settings: () => ({
        ...{ noProgressMs, distributionPointAwayMs: 20 * minuteMs, siteAwayMs: 10 * minuteMs },
      }),
    });
  }

  /** Minute by minute, each once the watch has looked and sleeps again. */
  async function pass(minutes: number): Promise<void> {
    for (let minute = 0; minute < minutes; minute++) {
      while (clock.sleeperCount === 0) await nextTurn();
      await clock.advance(minuteMs);
    }
    while (clock.sleeperCount === 0) await nextTurn();
  }

  async function restart(): Promise<void> {
    await watch.stop();
    watch = newWatch();
    await watch.start();
  }

  /** IDs and strings of all messages so far. */
  async function told(): Promise<string[]> {
    await store.settled();
    const messages = await status.query({ countMax: 1_000 });
    return messages.map(({ messageId, insertionStrings }) => {
      return [messageId, ...insertionStrings].join(' | ');
    });
  }

  const jobText = '9030 | PS100001 | 1 | PS1DP1 | 30 min | It was refused';

  it('tells once of a job without progress, with its reason, until it moves again', async () => {
    jobs = [testJob({ ...failing, totalBytes: 100, remainingBytes: 100 })];
    await pass(29);
    assert.deepEqual(await told(), []);
    await pass(2);
    assert.deepEqual(await told(), [jobText]);
    assert.equal(watch.standingCountOf('job'), 1);
    await pass(300);
    assert.equal((await told()).length, 1, 'once');
    jobs = [testJob({ ...failing, totalBytes: 100, remainingBytes: 60 })];
    await pass(29);
    assert.equal((await told()).length, 1, 'it has moved');
    assert.equal(watch.standingCountOf('job'), 0);
    await pass(4);
    assert.equal((await told()).length, 2);
  });

  it('lets others have their turns while it looks, however many jobs there are', async () => {
    const many = Array.from({ length: 2_500 }, (_, at) =>
      testJob({ ...failing, jobSerial: at + 1 }),
    );
    let takenCount = 0;
    const counted = {
      *[Symbol.iterator]() {
        for (const job of many) {
          takenCount += 1;
          yield job;
        }
      },
    };
    jobs = counted as unknown as DistributionJob[];
    const seen = new Set<number>();
    let isOver = false;
    const otherWork = (async () => {
      for (; !isOver; await nextTurn()) seen.add(takenCount);
    })();
    await pass(1);
    isOver = true;
    await otherWork;
    assert.ok(seen.has(1_000) && seen.has(2_000), [...seen].join());
  });

  it('says nothing of a job that moves, however slowly', async () => {
    for (let done = 0; done < 20; done++) {
      jobs = [testJob({ state: 'in-progress', totalBytes: 100, remainingBytes: 100 - done })];
      await pass(25);
    }
    assert.deepEqual(await told(), []);
  });

  it('goes on counting after a restart, and tells nobody twice', async () => {
    jobs = [testJob(failing)];
    await pass(20);
    await restart();
    await pass(12);
    assert.equal((await told()).length, 1);
    await restart();
    assert.equal(watch.standingCountOf('job'), 1);
    await pass(100);
    assert.equal((await told()).length, 1);
    assert.deepEqual([watch.standingCountOf('job'), watch.standingCountOf('dp')], [1, 0]);
  });

  it('does not count the time in which a schedule is closed (PTM-5)', async () => {
    jobs = [testJob(failing)];
    await pass(20);
    const openMs = clock.nowMs() + 600 * minuteMs;
    opensAtMs = () => Math.max(clock.nowMs(), openMs);
    await pass(599);
    await restart();
    opensAtMs = () => clock.nowMs();
    await pass(25);
    assert.deepEqual(await told(), []);
    await pass(8);
    assert.equal((await told()).length, 1);
  });

  it('tells of a schedule that never opens', async () => {
    jobs = [testJob()];
    opensAtMs = () => undefined;
    await pass(32);
    assert.match((await told())[0] ?? '', /never opens/);
  });

  it('asks a pull DP of its hours only when it has the job (PTM-5, PULL-2)', async () => {
    opensAtMs = () => clock.nowMs() + minuteMs;
    const waiting = testJob({ ...failing, dpId: 'PULL1' });
    const withDp = { state: 'in-progress', sendAction: 'PullQueryResultAction' } as const;
    jobs = [waiting, testJob({ ...withDp, dpId: 'PULL1', jobSerial: 2 })];
    await pass(32);
    assert.deepEqual(await told(), [jobText.replace('PS1DP1', 'PULL1')]);
  });

  it('tells of a DP that is away once, and not for each job that waits for it; and when that is over', async () => {
    jobs = [1, 2, 3].map((jobSerial) => testJob({ ...unreachable, jobSerial }));
    await pass(22);
    assert.deepEqual(await told(), ['9031 | PS1DP1 | 20 min | 3 | refused']);
    await pass(60);
    assert.equal((await told()).length, 1);
    await restart();
    jobs = [];
    await pass(2);
    assert.match((await told())[1] ?? '', /^9032 \| PS1DP1 \| 1 h 2\d min$/);
  });

  it('says nothing of a DP that is back in time', async () => {
    jobs = [testJob(unreachable)];
    await pass(15);
    jobs = [];
    await pass(2);
    jobs = [testJob(unreachable)];
    await pass(15);
    assert.deepEqual(await told(), []);
  });

  it('tells of a neighbour that is away, and when it is connected again', async () => {
    neighbours = [
      { siteCode: 'PS2', ...away },
      { siteCode: 'CS1', connected: true, reason: '' },
    ];
    await pass(12);
    assert.deepEqual(await told(), ['9033 | PS2 | 10 min | connection refused']);
    await restart();
    await pass(12);
    neighbours = [{ siteCode: 'PS2', connected: true, reason: '' }];
    await pass(2);
    assert.match((await told())[1] ?? '', /^9034 \| PS2 \| 2\d min$/);
    assert.equal((await told()).length, 2);
  });

  it('does not take a neighbour for back that was taken out of the hierarchy', async () => {
    neighbours = [{ siteCode: 'PS2', ...away }];
    await pass(12);
    neighbours = [];
    await pass(2);
    assert.equal((await told()).length, 1);
  });

  it('tells of a certificate that was not renewed 14 and 3 days before it ends, and when it was (SEC-3)', async () => {
    const dayMs = 24 * 60 * minuteMs;
    const endMs = clock.nowMs() + 10 * dayMs;
    const certificate: KnownCertificate = {
      ...{ kind: 'identity' as const, holder: 'dp/PS1DP1', identityUri: '', issuerSiteCode: 'PS1' },
      ...{ notBeforeMs: endMs - 90 * dayMs, notAfterMs: endMs, rootKeyId: '', toldAtMs: 0 },
      ...{ isOnNewestRoot: true, reason: 'the site was away' },
    };
    certificates = [certificate];
    await pass(5);
    await restart();
    await pass(5);
    assert.deepEqual(await told(), [
      '9050 | distribution point PS1DP1 | ends in 9 d 23 h | the site was away',
    ]);
    certificates = [{ ...certificate, notAfterMs: clock.nowMs() + 2 * dayMs }];
    await pass(5);
    certificates = [
      {
        ...certificate,
        notAfterMs: clock.nowMs() - dayMs,
        kind: 'site-authority',
        holder: 'site/PS1',
      },
    ];
    await pass(5);
    assert.deepEqual((await told()).slice(1), [
      '9050 | distribution point PS1DP1 | ends in 1 d 23 h | the site was away',
      '9051 | distribution point PS1DP1 | ends in 1 d 23 h | the site was away',
      '9052 | distribution point PS1DP1',
      '9050 | the authority of site PS1 | ended 1 d ago | the site was away',
      '9051 | the authority of site PS1 | ended 1 d ago | the site was away',
    ]);
    certificates = [];
    await pass(5);
    assert.equal((await told()).at(-1), '9052 | the authority of site PS1');
  });

  it('tells of a send request without progress', async () => {
    sends = [testSendRequest({ state: 'retrying', reason: 'connection refused' })];
    await pass(32);
    assert.deepEqual(await told(), ['9035 | CS100001 | 1 | PS1 | 30 min | connection refused']);
  });

  it('heeds a setting that is changed', async () => {
    jobs = [testJob(failing)];
    await pass(10);
    noProgressMs = 5 * minuteMs;
    await pass(2);
    assert.equal((await told()).length, 1);
  });

  it('tells so many at a look, and the others later', async () => {
    jobs = Array.from({ length: toldMax + 5 }, (_, index) =>
      testJob({ ...failing, jobSerial: index + 1 }),
    );
    await pass(31);
    assert.equal((await told()).length, toldMax);
    await pass(1);
    assert.equal((await told()).length, toldMax + 5);
  });

  it('keeps no row of what has ended', async () => {
    jobs = [testJob(failing)];
    await pass(32);
    jobs = [];
    await pass(2);
    await restart();
    jobs = [testJob(failing)];
    await pass(20);
    assert.equal((await told()).length, 1, 'another job of this serial begins anew');
  });

  it('tells once of a site of which nothing newly signed comes for three days (TUF freeze, F20)', async () => {
    const passDays = async (days: number) => {
      for (let quarter = 0; quarter < 4 * days; quarter++) {
        while (clock.sleeperCount === 0) await nextTurn();
        await clock.advance(6 * 60 * minuteMs);
      }
      while (clock.sleeperCount === 0) await nextTurn();
    };
    const silent = { siteCode: 'PS2', signedAtMs: Date.UTC(2026, 0, 1) };
    identities = [silent, { siteCode: 'SS1', signedAtMs: Number.MAX_SAFE_INTEGER }];
    await passDays(2);
    // One of them goes on as it should, whatever time it names.
    identities = [silent, { siteCode: 'SS1', signedAtMs: Number.MAX_SAFE_INTEGER - 1 }];
    await passDays(0.75);
    assert.deepEqual(await told(), []);
    await passDays(0.5);
    assert.deepEqual(await told(), ['9036 | PS2 | 3 d | 2026-01-01 00:00:00 UTC']);
    await passDays(2);
    assert.deepEqual((await told()).slice(1), ['9036 | SS1 | 3 d | no date']);
    identities = [{ siteCode: 'PS2', signedAtMs: Date.UTC(2026, 0, 6) }];
    await restart();
    await passDays(2);
    assert.equal((await told()).length, 2, 'it is heard again');
  });

  it('tells once how many revocations of a site are not heard, and when all are (SEC-3)', async () => {
    passedOver = new Map([['PS2', 17]]);
    await pass(2);
    passedOver = new Map([['PS2', 12]]);
    await pass(5);
    await restart();
    await pass(5);
    assert.deepEqual(await told(), ['9008 | PS2 | 17']);
    assert.equal(watch.standingCountOf('passed-over'), 1);
    passedOver = new Map();
    await pass(1);
    assert.ok((await told()).some((line) => line.startsWith('9009 | PS2 | ')));
    assert.equal(watch.standingCountOf('passed-over'), 0);
  });
});
