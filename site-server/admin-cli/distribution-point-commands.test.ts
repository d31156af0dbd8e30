import assert from 'node:assert/strict';
import type { DistributionPointSettings } from '../../shared/rpc/generated/waybill/v1/DistributionPointSettings.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aDistributionPoint } from './testing/fake-answers.ts';
import { runWaybill } from './testing/run-waybill.ts';

describe('waybill dp (ADM-3)', () => {
  it('add sends a standard DP', async () => {
    const { admin, stdout } = await runWaybill('dp add PS1DP1 --address [::1]:8531');
    assert.deepEqual(admin.requestOf('addDistributionPoint'), {
      dpId: 'PS1DP1',
      address: '[::1]:8531',
      kind: 'DISTRIBUTION_POINT_KIND_STANDARD',
      description: '',
    });
    assert.match(stdout, /^Distribution point PS1DP1 at dp1\.example\.org:8531 is added\./);
  });

  it('set sends only what is to change', async () => {
    const { admin } = await runWaybill('dp set PS1DP1 --address dp2:8531');
    const expected = { dpId: 'PS1DP1', address: 'dp2:8531' };
    assert.deepEqual(admin.requestOf('setDistributionPoint'), expected);
    const cleared = await runWaybill('dp set PS1DP1 --description ""');
    const clearing = { dpId: 'PS1DP1', address: '', description: '' };
    assert.deepEqual(cleared.admin.requestOf('setDistributionPoint'), clearing);
  });

  for (const [line, complaint] of [
    [
      'dp set PS1DP1',
      'expected something to set: --address, --description, --kind, --priority, where',
    ],
    ['dp add PS1DP1 --address dp1', '--address: expected host:port, the port from'],
    [
      'dp add PS1DP1 --address dp1:70000',
      '--address: expected host:port, the port from 1 to 65535, an IPv6 host in brackets, got "dp1:70000"',
    ],
    ['dp add PS1DP1', 'expected --address'],
    ['dp add a/b --address dp1:1', '<dp-id>: expected a distribution point'],
  ] as const) {
    it(`refuses "${line}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('list is a table', async () => {
    const { stdout } = await runWaybill('dp list');
    assert.deepEqual(stdout.split('\n').slice(0, 2), [
      'DP      address               kind      state      checked    packages    free       rate  agent  description',
      'PS1DP1  dp1.example.org:8531  standard  reachable  3 min ago        12  50 GiB  45.2 MB/s  0.1.0  First floor',
    ]);
  });

  it('check fails when the DP cannot be reached, and shows why', async () => {
    const admin = new FakeAdmin().answer('checkDistributionPoint', () =>
      aDistributionPoint({
        reachability: 'DISTRIBUTION_POINT_REACHABILITY_UNREACHABLE',
        reason: 'nothing listens there',
      }),
    );
    const text = await runWaybill('dp check PS1DP1', { admin });
    assert.equal(text.exitCode, 1);
    assert.match(text.stdout, /^state {5}unreachable$/m);
    assert.doesNotMatch(text.stdout, /nothing listens/, 'it is said once');
    assert.equal(
      text.stderr,
      'waybill: Distribution point PS1DP1 at dp1.example.org:8531 is unreachable: nothing listens there\n',
    );
    const json = await runWaybill('dp check PS1DP1 --json', { admin });
    assert.equal(JSON.parse(json.stdout).reachability, 'unreachable');
    assert.equal(JSON.parse(json.stderr).error.code, 'DP_UNREACHABLE');
  });
});

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

describe('waybill dp with limits and schedules (ADM-3, PTM-5, PTM-6)', () => {
  const open = Array<'WINDOW_LEVEL_OPEN'>(168).fill('WINDOW_LEVEL_OPEN');
  const closedAtWork = open.map((level, hour) => {
    const isWork = hour < 5 * 24 && hour % 24 >= 8 && hour % 24 < 18;
    return isWork ? 'WINDOW_LEVEL_CLOSED' : level;
  });

  const settingsOf = (
    admin: FakeAdmin,
    method: 'setDistributionPoint' | 'addDistributionPoint' = 'setDistributionPoint',
  ) => admin.requestOf(method) as DistributionPointSettings;

  it('set sends what is to change, and nothing else', async () => {
    const { admin } = await runWaybill('dp set PS1DP1 --limit 10MB/s');
    assert.deepEqual(admin.requestOf('setDistributionPoint'), {
      ...{ dpId: 'PS1DP1', address: '' },
      controls: { limit: { bytesPerSecond: 10_000_000 } },
    });
    const serving = await runWaybill('dp set PS1DP1 --serve-limit pulse:1MiB/500ms');
    assert.deepEqual(serving.admin.requestOf('setDistributionPoint'), {
      ...{ dpId: 'PS1DP1', address: '' },
      serveControls: { limit: { pulse: { blockBytes: 1_048_576, delayMs: 500 } } },
    });
    const cleared = await runWaybill('dp set PS1DP1 --limit none --schedule none');
    assert.deepEqual(cleared.admin.requestOf('setDistributionPoint'), {
      ...{ dpId: 'PS1DP1', address: '' },
      controls: { alwaysOpen: true, noLimit: true },
    });
  });

  it('set sends hours in the zone that is named, or in that of the machine', async () => {
    const line = 'dp set PS1DP1 --schedule "mon-fri 08-18 closed, else open"';
    const here = await runWaybill(line);
    const schedule = { timeZone: 'UTC', hours: closedAtWork };
    assert.deepEqual(settingsOf(here.admin).controls, { schedule });
    const there = await runWaybill(`${line} --time-zone Europe/Madrid`);
    assert.deepEqual(settingsOf(there.admin).controls, {
      schedule: { ...schedule, timeZone: 'Europe/Madrid' },
    });
    const hourly =
      'dp add PS1DP1 --address a:1 --limit "sat 2MB/s, else none" --time-zone Asia/Tokyo';
    const { controls } = settingsOf((await runWaybill(hourly)).admin, 'addDistributionPoint');
    assert.equal(controls?.limit?.hourly?.timeZone, 'Asia/Tokyo');
  });

  for (const [line, complaint] of [
    [
      'dp set PS1DP1 --time-zone Europe/Madrid',
      '--time-zone: expected a limit or a schedule by hours',
    ],
    ['dp set PS1DP1 --limit 1MB/s --time-zone Europe/Madrid', '--time-zone: expected a limit or'],
    [
      'dp set PS1DP1 --schedule closed --time-zone Mars/Phobos',
      '--time-zone: expected the IANA name',
    ],
    ['dp set PS1DP1 --limit fast', '--limit: expected a rate such as 10MB/s'],
    ['dp set PS1DP1 --serve-limit 1B/s', '--serve-limit: expected a rate of 1 KiB/s to 1 TB/s'],
    ['dp set PS1DP1 --limit 1MB/s --limit 2MB/s', '--limit: expected one value, got 2'],
  ] as const) {
    it(`refuses "${line}" before anything is sent`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.ok(stderr.startsWith(`waybill: ${complaint}`), stderr);
      assert.deepEqual(admin.calls, []);
    });
  }

  const controlled = () =>
    aDistributionPoint({
      controls: {
        schedule: { timeZone: 'Europe/Madrid', hours: closedAtWork },
        limit: { kind: 'bytesPerSecond', bytesPerSecond: '10000000' },
      },
      serveControls: {
        schedule: null,
        limit: {
          kind: 'hourly',
          hourly: {
            timeZone: 'UTC',
            bytesPerSecond: open.map((_, hour) => (hour < 24 ? '2000000' : '0')),
          },
        },
      },
    });
  const admin = new FakeAdmin()
    .stream('listDistributionPoints', () => [controlled()])
    .answer('setDistributionPoint', controlled);

  it('show has the link that it is in (ADM-3)', async () => {
    assert.match((await runWaybill('dp show PS1DP1')).stdout, /^link {2,}madrid-line$/m);
    const json = JSON.parse((await runWaybill('dp show PS1DP1 --json')).stdout);
    assert.deepEqual(json.linkNames, ['madrid-line']);
    const none = new FakeAdmin().stream('listLinks', () => []);
    assert.doesNotMatch((await runWaybill('dp show PS1DP1', { admin: none })).stdout, /^link/m);
  });

  it('show has the rules and a picture of the week', async () => {
    const { stdout } = await runWaybill('dp show PS1DP1', { admin });
    assert.match(stdout, /^limit {2,}10 MB\/s$/m);
    assert.match(stdout, /^schedule {2,}mon-fri 08-18 closed, else open \(Europe\/Madrid\)$/m);
    assert.match(stdout, /^serve limit {2,}mon 2 MB\/s, else none \(UTC\)$/m);
    const lines = stdout.split('\n');
    const at = lines.indexOf('schedule, Europe/Madrid');
    assert.deepEqual(lines.slice(at + 1, at + 10), [
      '     00     06     12     18',
      ...['mon', 'tue', 'wed', 'thu', 'fri'].map((day) => `${day}  ###### ##.... ...... ######`),
      'sat  ###### ###### ###### ######',
      'sun  ###### ###### ###### ######',
      '     # open   . closed',
    ]);
    assert.ok(lines.includes('mon  aaaaaa aaaaaa aaaaaa aaaaaa'));
    assert.ok(lines.includes('     a 2 MB/s   # no limit'));
    assert.ok(lines.every((line) => line.length <= 80));
    const json = JSON.parse((await runWaybill('dp show PS1DP1 --json', { admin })).stdout);
    assert.equal(json.controls.schedule.hours[8], 'closed');
    assert.deepEqual(json.controls.limit, { kind: 'rate', bytesPerSecond: 10_000_000 });
    assert.equal(json.serveControls.limit.kind, 'hourly');
  });

  it('set keeps the zone of the hours that are set, unless another is named', async () => {
    const change = async (line: string) => {
      const admin = new FakeAdmin()
        .stream('listDistributionPoints', () => [controlled()])
        .answer('setDistributionPoint', controlled);
      const { stdout } = await runWaybill(line, { admin });
      return { ...settingsOf(admin), stdout };
    };
    const kept = await change('dp set PS1DP1 --schedule "sat-sun closed, else open"');
    assert.equal(kept.controls?.schedule?.timeZone, 'Europe/Madrid');
    assert.match(kept.stdout, /\(hours of Europe\/Madrid\)/);
    const limit = await change('dp set PS1DP1 --limit "sat 2MB/s, else none"');
    assert.equal(limit.controls?.limit?.hourly?.timeZone, 'Europe/Madrid', 'that of the schedule');
    const named = 'dp set PS1DP1 --schedule "sat-sun closed, else open" --time-zone Asia/Tokyo';
    assert.equal((await change(named)).controls?.schedule?.timeZone, 'Asia/Tokyo');
  });

  it('list and set say what holds', async () => {
    const list = await runWaybill('dp list', { admin });
    assert.match(list.stdout, /limit {2}schedule/);
    assert.match(list.stdout, /10 MB\/s {2}by hour/);
    const { stdout } = await runWaybill('dp set PS1DP1 --limit 10MB/s', { admin });
    assert.match(
      stdout,
      /^It is sent to with the limit 10 MB\/s, by the schedule mon-fri 08-18 closed, else open \(hours of Europe\/Madrid\)\.$/m,
    );
  });
});
