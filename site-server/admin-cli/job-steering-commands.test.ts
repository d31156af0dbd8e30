import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import { aJob } from './testing/job-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { aSiteRecord } from './testing/site-answers.ts';

const nothing = {
  ...{ packageId: '', dpId: '', groupName: '', failedOnly: false, olderThanMs: 0, all: false },
};

/** A site with DPs, which answers by itself. */
const primary = () => new FakeAdmin().stream('listSites', () => [aSiteRecord({ siteCode: 'PS1' })]);

describe('waybill jobs suspend, resume, run, move and cancel (ADM-2, PKG-9)', () => {
  const requests: [words: string, method: Parameters<FakeAdmin['requestOf']>[0], sent: object][] = [
    ['jobs suspend 17 18', 'suspendJobs', { jobSerials: [17, 18] }],
    ['jobs resume --package PS100001', 'resumeJobs', { ...nothing, packageId: 'PS100001' }],
    [
      'jobs suspend --dp PS1DP1 --failed',
      'suspendJobs',
      { ...nothing, dpId: 'PS1DP1', failedOnly: true },
    ],
    ['jobs run --group East', 'runJobs', { ...nothing, groupName: 'East' }],
    ['jobs cancel --older-than 2h --yes', 'cancelJobs', { ...nothing, olderThanMs: 7_200_000 }],
    ['jobs suspend --all', 'suspendJobs', { ...nothing, all: true }],
    ['jobs move 17 --first', 'moveJobs', { jobs: { jobSerials: [17] }, first: true }],
    ['jobs move 17 --last', 'moveJobs', { jobs: { jobSerials: [17] }, last: true }],
    ['jobs move 17 --before 18', 'moveJobs', { jobs: { jobSerials: [17] }, beforeJobSerial: 18 }],
  ];
  for (const [words, method, sent] of requests) {
    it(`${words} says which jobs are meant`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(words, { admin: primary() });
      assert.equal(exitCode, 0, stderr);
      const calls = admin.calls.filter((call) => call.method === method);
      assert.deepEqual(calls.at(-1)?.request, sent);
    });
  }

  it('shows what became of them, and how to go on', async () => {
    const { stdout } = await runWaybill('jobs suspend 17', { admin: primary() });
    assert.deepEqual(stdout.split('\n'), [
      'job  package   to      state      place  reason',
      ' 17  PS100001  PS1DP1  suspended      2  suspended',
      '',
      '1 job suspended. "waybill jobs resume" lets them go on.',
      '',
    ]);
    const { stdout: json } = await runWaybill('jobs suspend 17 --json', { admin: primary() });
    const [job] = JSON.parse(json);
    assert.deepEqual([job.jobSerial, job.state, job.siteCode], [17, 'suspended', 'PS1']);
  });

  for (const [placeBefore, said] of [
    [5, '1 job moved.'],
    [2, 'Job 17 stays at place 2: jobs are moved only among those of the same priorities.'],
  ] as const) {
    it(`tells of a job that was at place ${placeBefore}, and is at 2: ${said}`, async () => {
      const at = (queuePlace: number) => [aJob({ state: 'JOB_STATE_PENDING', queuePlace })];
      const admin = primary().stream('moveJobs', ({ jobs }) =>
        at(jobs?.lookOnly ? placeBefore : 2),
      );
      const { stdout } = await runWaybill('jobs move 17 --first', { admin });
      assert.equal(stdout.trimEnd().split('\n').at(-1), said);
      const json = await runWaybill('jobs move 17 --first --json', { admin });
      assert.equal(JSON.parse(json.stdout)[0].moved, placeBefore !== 2);
    });
  }

  it('tells a cancel that a DP has not confirmed from one that it has (PKG-9)', async () => {
    const reason = 'Cancelled by an administrator; PS1DP2 has not confirmed it yet';
    const state = 'JOB_STATE_CANCELLED' as const;
    const unconfirmed = aJob({ jobSerial: '18', dpId: 'PS1DP2', state, reason, unconfirmed: true });
    const admin = primary().stream('cancelJobs', () => [aJob({ state }), unconfirmed]);
    const { stdout, exitCode } = await runWaybill('jobs cancel --all --yes', { admin });
    assert.equal(exitCode, 0);
    assert.match(stdout, /17 +PS100001 +PS1DP1 +cancelled +$|17 .* cancelled *$/m);
    assert.match(stdout, /18 .* cancelled, unconfirmed .* has not confirmed it yet/);
    assert.match(stdout, /1 of them unconfirmed: PS1DP2 did not answer, and is told when it does/);
  });

  describe('before several are cancelled', () => {
    const two = () => primary().stream('cancelJobs', () => [aJob(), aJob({ jobSerial: '18' })]);
    const asked = (answer: string) => ({ question: async () => answer });

    it('asks, and does nothing unless it is meant', async () => {
      const admin = two();
      const { exitCode, stderr } = await runWaybill('jobs cancel --all', {
        admin,
        surroundings: asked('no'),
      });
      assert.equal(exitCode, 1);
      assert.match(stderr, /Nothing was cancelled/);
      assert.deepEqual(admin.requestOf('cancelJobs'), { ...nothing, all: true, lookOnly: true });
    });

    it('goes on when it is', async () => {
      const admin = two();
      const { exitCode } = await runWaybill('jobs cancel --all', {
        admin,
        surroundings: asked('yes'),
      });
      assert.equal(exitCode, 0);
      assert.equal(admin.calls.filter(({ method }) => method === 'cancelJobs').length, 2);
    });

    it('wants --yes where there is nobody to ask', async () => {
      const { exitCode, stderr } = await runWaybill('jobs cancel --all', { admin: two() });
      assert.equal(exitCode, 2);
      assert.match(stderr, /expected --yes: this cancels 2 jobs/);
    });

    it('asks nothing about a single one', async () => {
      const { exitCode } = await runWaybill('jobs cancel 17', { admin: primary() });
      assert.equal(exitCode, 0);
    });
  });

  it('asks at the site of the DP, at the sites that are named, or at all with DPs', async () => {
    const hierarchy = () =>
      new FakeAdmin().stream('listSites', () => [
        aSiteRecord({ siteCode: 'PS1', distributionPointCount: 0 }),
        aSiteRecord({ siteCode: 'PS2', address: 'ps2:1', distributionPointCount: 2 }),
      ]);
    const opened = async (words: string) => {
      const run = new Run({ admin: hierarchy() });
      await run.run(words);
      return run;
    };
    for (const words of ['jobs suspend --all', 'jobs suspend 3 --site PS2', 'jobs run --failed']) {
      const { openedSites } = await opened(words);
      assert.deepEqual(openedSites, [{ siteCode: 'PS2', address: 'ps2:1' }], words);
    }
    const { openedSites } = await opened('jobs suspend 3');
    assert.deepEqual(openedSites, []);
  });

  it('goes on with the other sites when one does not answer, and says so', async () => {
    const admin = new FakeAdmin()
      .stream('listSites', () => [
        aSiteRecord({ siteCode: 'PS1' }),
        aSiteRecord({ siteCode: 'PS2', address: 'ps2:1' }),
      ])
      .stream('suspendJobs', () => {
        const facts = { peer: 'site PS1', address: 'ps1:1', reason: 'nothing listens there' };
        throw new WaybillError({ code: 'PEER_UNREACHABLE', ...facts });
      });
    const { exitCode, stdout, stderr } = await runWaybill('jobs suspend --all --all-sites', {
      admin,
    });
    assert.equal(exitCode, 1);
    assert.match(stdout, /1 job suspended/);
    assert.match(stderr, /Site PS1: site PS1 at ps1:1 cannot be reached/);
  });

  describe('at several sites', () => {
    const two = () =>
      new FakeAdmin().stream('listSites', () => [
        aSiteRecord({ siteCode: 'PS1' }),
        aSiteRecord({ siteCode: 'PS2', address: 'ps2:1' }),
      ]);
    const words = 'jobs cancel --all --all-sites --yes';
    /** The first answers as soon as the second was asked. */
    const whenOtherIsAsked = (run: Run, then: (first: Feed<ReturnType<typeof aJob>>) => void) => {
      const first = new Feed<ReturnType<typeof aJob>>();
      run.admin.stream('cancelJobs', (_, signal) => first.read(signal));
      run.otherSite.stream('cancelJobs', () => {
        then(first);
        return [aJob({ jobSerial: '18' })];
      });
    };

    it('lets none wait for one whose DPs are away, and keeps their order (PKG-9)', async () => {
      const run = new Run({ admin: two() });
      whenOtherIsAsked(run, (first) => {
        first.push(aJob({ jobSerial: '17' }));
        first.end();
      });
      await run.run(`${words} --json`);
      const jobs = JSON.parse(run.stdout.text) as { jobSerial: number; siteCode: string }[];
      const order = jobs.map(({ jobSerial, siteCode }) => [jobSerial, siteCode]);
      assert.deepEqual(order, [
        [17, 'PS1'],
        [18, 'PS2'],
      ]);
    });

    it('lets none wait for one that is away itself', async () => {
      const run = new Run({ admin: two() });
      whenOtherIsAsked(run, (first) => {
        const facts = { peer: 'site PS1', address: 'ps1:1', reason: 'nothing listens there' };
        first.end(new WaybillError({ code: 'PEER_UNREACHABLE', ...facts }));
      });
      assert.equal(await run.run(words), 1);
      assert.match(run.stdout.text, /1 job cancelled/);
      assert.match(run.stderr.text, /Site PS1: site PS1 at ps1:1 cannot be reached/);
    });
  });

  it('say nothing on standard output when none could be steered', async () => {
    const admin = primary().stream('moveJobs', () => {
      const facts = { field: 'job_serials', expected: 'a job of this site', actual: '99' };
      throw new WaybillError({ code: 'REQUEST_INVALID', ...facts });
    });
    const { exitCode, stdout } = await runWaybill('jobs move 99 --first', { admin });
    assert.deepEqual([exitCode, stdout], [1, '']);
  });

  for (const words of [
    'jobs suspend',
    'jobs suspend 17 --all',
    'jobs suspend 17 --package PS100001',
    'jobs suspend --all --package PS100001',
    'jobs suspend 0',
    'jobs suspend x',
    'jobs suspend --older-than 0s',
    'jobs move 17',
    'jobs move 17 --first --last',
    'jobs suspend --all --site PS1 --all-sites',
  ]) {
    it(`refuses ${words} (bad input)`, async () => {
      const { exitCode, stderr } = await runWaybill(words, { admin: primary() });
      assert.equal(exitCode, 2);
      assert.match(stderr, /expected/);
    });
  }
});
