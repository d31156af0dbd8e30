import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint } from './testing/site-answers.ts';

describe('waybill dp for pull distribution points (ADM-3, PULL-1, PULL-10)', () => {
  const aPullDp = (changes: Parameters<typeof aDistributionPoint>[0] = {}) =>
    aDistributionPoint({
      dpId: 'PS1DP3',
      kind: 'DISTRIBUTION_POINT_KIND_PULL',
      pull: {
        sources: [
          { dpId: 'PS1DP2', rank: 2 },
          { dpId: 'PS1DP1', rank: 1 },
        ],
        allowFallback: true,
        packagesMax: 5,
      },
      ...changes,
    });
  const siteWith = (...all: ReturnType<typeof aDistributionPoint>[]) =>
    new FakeAdmin()
      .stream('listDistributionPoints', () => all)
      .answer('setDistributionPoint', () => all[0] ?? aPullDp())
      .answer('addDistributionPoint', () => all[0] ?? aPullDp());

  for (const [given, pinnedPriority] of [
    ['50', 50],
    ['auto', 0],
  ] as const) {
    it(`set pins or lets go the priority: ${given} (PTM-3)`, async () => {
      const line = `dp set PS1DP1 --priority ${given}`;
      const { admin } = await runWaybill(line, { admin: siteWith(aDistributionPoint()) });
      const sent = { dpId: 'PS1DP1', address: '', pinnedPriority };
      assert.deepEqual(admin.requestOf('setDistributionPoint'), sent);
    });
  }

  it('show says whether a priority is pinned, or tuned', async () => {
    const textOf = async (changes: Parameters<typeof aDistributionPoint>[0]) => {
      const admin = siteWith(aDistributionPoint(changes));
      const { stdout } = await runWaybill('dp show PS1DP1', { admin });
      return /^priority +(.*)$/m.exec(stdout)?.[1];
    };
    assert.equal(await textOf({ priority: 50, isPriorityPinned: true }), '50, pinned');
    assert.equal(await textOf({ measuredBytesPerSecond: '0' }), '200, not tuned yet');
  });

  it('add sends sources with their ranks; without one it is the place in the row', async () => {
    const line =
      'dp add PS1DP3 --address dp3:8531 --kind pull --source PS1DP1 --source PS1DP2 ' +
      '--source PS1DP4:1 --allow-fallback --packages-max 7';
    const { admin } = await runWaybill(line, { admin: siteWith(aPullDp()) });
    assert.deepEqual(admin.requestOf('addDistributionPoint'), {
      dpId: 'PS1DP3',
      address: 'dp3:8531',
      kind: 'DISTRIBUTION_POINT_KIND_PULL',
      description: '',
      pull: {
        sources: [
          { dpId: 'PS1DP1', rank: 1 },
          { dpId: 'PS1DP2', rank: 2 },
          { dpId: 'PS1DP4', rank: 1 },
        ],
        allowFallback: true,
        packagesMax: 7,
      },
    });
  });

  it('says so when a pull DP has nothing to fetch from any more', async () => {
    const admin = siteWith(aPullDp({ pull: null }));
    const { stdout } = await runWaybill('dp set PS1DP3 --description Cellar', { admin });
    assert.match(stdout, /^It has no source to fetch from: waybill dp set PS1DP3 --source DP/m);
  });

  for (const line of [
    'dp add PS1DP3 --address dp3:8531 --kind pull',
    'dp add PS1DP3 --address dp3:8531 --kind pull --source none --packages-max 2',
    'dp set PS1DP3 --source none --no-allow-fallback',
    'dp set PS1DP1 --kind pull',
    'dp set PS1DP1 --kind pull --source none',
  ]) {
    it(`refuses "${line}": it would have nothing to fetch from`, async () => {
      const { exitCode, stderr, admin } = await runWaybill(line, {
        admin: siteWith(aDistributionPoint(), aPullDp()),
      });
      assert.equal(exitCode, 2);
      assert.match(
        stderr,
        /^waybill: a pull DP needs something to fetch from: expected --source DP/,
      );
      assert.ok(admin.calls.every(({ method }) => method === 'listDistributionPoints'));
    });
  }

  it('delete names the pull DPs that are left without a source', async () => {
    const only = { sources: [{ dpId: 'PS1DP1', rank: 1 }], allowFallback: false, packagesMax: 5 };
    const admin = siteWith(
      aPullDp({ dpId: 'PS1DP3', pull: only }),
      aPullDp({ dpId: 'PS1DP4', pull: { ...only, allowFallback: true } }),
      aPullDp({ dpId: 'PS1DP5' }),
      aPullDp({ dpId: 'PS1DP6', pull: { ...only, sources: [] } }),
      aDistributionPoint({ dpId: 'PS1DP7', pull: only }),
    );
    const { stdout } = await runWaybill('dp delete PS1DP1 --yes', { admin });
    assert.deepEqual(stdout.trimEnd().split('\n').slice(1), [
      'It was the only source of PS1DP3: waybill dp set PS1DP3 --source DP',
    ]);
  });

  it('delete asks before, saying what goes with it', async () => {
    const questions: string[] = [];
    const asked = (answer: string | undefined) => ({
      terminal: { columns: 80, rows: 24 },
      surroundings: {
        question: async (text: string) => {
          questions.push(text);
          return answer;
        },
      },
    });
    const without = await runWaybill('dp delete PS1DP1');
    assert.equal(without.exitCode, 2);
    assert.match(
      without.stderr,
      /^waybill: expected --yes: dp delete takes PS1DP1 out of its site/,
    );
    assert.deepEqual(without.admin.calls, []);
    const refused = await runWaybill('dp delete PS1DP1', asked('y'));
    assert.equal(refused.stderr, 'waybill: Distribution point PS1DP1 was not deleted\n');
    assert.ok(!refused.admin.calls.some(({ method }) => method === 'deleteDistributionPoint'));
    assert.match(
      questions[0] ?? '',
      /PS1DP1 out of site PS1, with 12 packages\? It keeps its files/,
    );
    const left = await runWaybill('dp delete PS1DP1', asked(undefined));
    assert.equal(left.exitCode, 2);
    assert.match(left.stderr, /^waybill: expected an answer or --yes, and the input has ended: dp/);
    assert.ok(!left.admin.calls.some(({ method }) => method === 'deleteDistributionPoint'));
    const meant = await runWaybill('dp delete PS1DP1', asked('PS1DP1'));
    assert.deepEqual(meant.admin.requestOf('deleteDistributionPoint'), { dpId: 'PS1DP1' });
    const unknown = await runWaybill('dp delete PS1DP9', asked('PS1DP9'));
    assert.match(unknown.stderr, /There is no distribution point PS1DP9/);
  });

  for (const [options, changed] of [
    ['--source PS1DP4:9', { sources: [{ dpId: 'PS1DP4', rank: 9 }] }],
    ['--source none', { sources: [] }],
    ['--no-allow-fallback', { allowFallback: false }],
    ['--packages-max 50', { packagesMax: 50 }],
  ] as const) {
    it(`set ${options} changes only that; the rest stays as the site has it`, async () => {
      const { admin } = await runWaybill(`dp set PS1DP3 ${options}`, {
        admin: siteWith(aPullDp()),
      });
      const sources = [
        { dpId: 'PS1DP1', rank: 1 },
        { dpId: 'PS1DP2', rank: 2 },
      ];
      assert.deepEqual(admin.requestOf('setDistributionPoint'), {
        dpId: 'PS1DP3',
        address: '',
        pull: { sources, allowFallback: true, packagesMax: 5, ...changed },
      });
    });
  }

  it('set --kind alone leaves what the DP was told before', async () => {
    const { admin } = await runWaybill('dp set PS1DP3 --kind pull', { admin: siteWith(aPullDp()) });
    const expected = { dpId: 'PS1DP3', address: '', kind: 'DISTRIBUTION_POINT_KIND_PULL' };
    assert.deepEqual(admin.requestOf('setDistributionPoint'), expected);
  });

  it('set tells a standard DP too; it is kept, and said so', async () => {
    const { exitCode, stdout, admin } = await runWaybill('dp set PS1DP1 --source PS1DP2', {
      admin: siteWith(aDistributionPoint()),
    });
    assert.equal(exitCode, 0);
    assert.deepEqual(admin.requestOf('setDistributionPoint'), {
      dpId: 'PS1DP1',
      address: '',
      pull: { sources: [{ dpId: 'PS1DP2', rank: 1 }], allowFallback: false, packagesMax: 5 },
    });
    assert.match(stdout, /^Where it fetches from is kept until it is a pull DP/m);
  });

  it('set and show say when there is no such DP, and set sends nothing', async () => {
    for (const line of ['dp set PS1DP9 --packages-max 2', 'dp show PS1DP9']) {
      const { exitCode, stderr, admin } = await runWaybill(line);
      assert.equal(exitCode, 1);
      assert.match(stderr, /There is no distribution point PS1DP9/);
      assert.ok(admin.calls.every(({ method }) => method === 'listDistributionPoints'));
    }
  });

  for (const [line, complaint] of [
    [
      'dp add PS1DP3 --address a:1 --source PS1DP1',
      '--source, --allow-fallback and --packages-max',
    ],
    ['dp add PS1DP3 --address a:1 --kind standard --packages-max 2', '--source, --allow-fallback'],
    ['dp add PS1DP3 --address a:1 --kind push', '--kind: expected one of standard, pull'],
    ['dp set PS1DP3 --source PS1DP3', '--source: expected other distribution points, got PS1DP3'],
    ['dp set PS1DP3 --source A --source A:2', '--source: expected each source once, got A twice'],
    ['dp set PS1DP3 --source none --source A', '--source: expected "none" or sources, not both'],
    ['dp set PS1DP3 --source A:0', '--source: expected DP or DP:RANK with a rank from 1 to 1000'],
    ['dp set PS1DP3 --source A:1001', '--source: expected DP or DP:RANK'],
    ['dp set PS1DP3 --source A:x', '--source: expected DP or DP:RANK'],
    ['dp set PS1DP3 --packages-max 51', '--packages-max: expected a whole number from 1 to 50'],
    [
      `dp set PS1DP3 ${Array.from({ length: 33 }, (_, index) => `--source A${index}`).join(' ')}`,
      '--source: expected at most 32 sources, got 33',
    ],
  ] as const) {
    it(`refuses "${line.slice(0, 70)}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('list has their sources in short, lowest rank first', async () => {
    const many = ['A', 'B', 'C', 'D', 'E'].map((dpId, index) => ({ dpId, rank: index + 1 }));
    const admin = siteWith(
      aPullDp(),
      aPullDp({ dpId: 'PS1DP4', pull: { sources: many, allowFallback: false, packagesMax: 5 } }),
      aDistributionPoint(),
    );
    const { stdout } = await runWaybill('dp list', { admin });
    const rows = stdout.split('\n').map((line) => line.slice(0, 83).trimEnd());
    assert.deepEqual(
      rows.slice(0, 4),
      [
        'DP      address               kind      sources                       state      che',
        'PS1DP3  dp1.example.org:8531  pull      PS1DP1:1, PS1DP2:2, fallback  reachable  3 m',
        'PS1DP4  dp1.example.org:8531  pull      A:1, B:2, C:3, 2 more         reachable  3 m',
        'PS1DP1  dp1.example.org:8531  standard                                reachable  3 m',
      ].map((line) => line.slice(0, 83).trimEnd()),
    );
  });

  it('show has everything of one DP, its sources with their ranks', async () => {
    const admin = siteWith(aDistributionPoint(), aPullDp());
    const { stdout } = await runWaybill('dp show PS1DP3', { admin });
    assert.deepEqual(stdout.trimEnd().split('\n'), [
      'DP                PS1DP3',
      'site              PS1',
      'address           dp1.example.org:8531',
      'kind              pull',
      'description       First floor',
      'state             reachable',
      'checked           3 min ago',
      'agent             0.1.0',
      'free              50 GiB',
      'rate              45.2 MB/s',
      'priority          200, tuned from its rate',
      'packages          12',
      'source            PS1DP1, rank 1',
      'source            PS1DP2, rank 2',
      'fallback          any DP of the site, then the site server',
      'packages at once  5',
    ]);
    const json = JSON.parse((await runWaybill('dp show PS1DP3 --json', { admin })).stdout);
    assert.deepEqual(json.pull, {
      sources: [
        { dpId: 'PS1DP1', rank: 1 },
        { dpId: 'PS1DP2', rank: 2 },
      ],
      allowFallback: true,
      packagesMax: 5,
    });
    assert.equal(json.kind, 'pull');
  });

  it('show says of a standard DP that what it was told is kept', async () => {
    const admin = siteWith(aPullDp({ kind: 'DISTRIBUTION_POINT_KIND_STANDARD' }));
    const { stdout } = await runWaybill('dp show PS1DP3', { admin });
    assert.match(stdout, /^source +PS1DP1, rank 1 \(kept, not used by a standard DP\)$/m);
  });
});
