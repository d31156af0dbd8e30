import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { TransferControls } from '../../shared/rpc/generated/waybill/v1/TransferControls.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { toTransferControlsMessage } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { aPackage } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint, aLink, aRoute } from './testing/site-answers.ts';
import { aCreatedEnrollment } from './testing/trust-answers.ts';

type Level = 'open' | 'medium-and-high' | 'high-only' | 'closed';

/** A site where this schedule is set for whatever it is set for. */
function siteWith(
  hours: readonly Level[],
  priority: 'PRIORITY_HIGH' | 'PRIORITY_NORMAL',
): FakeAdmin {
  const read = controlsOf(hours);
  const properties = { ...aPackage().properties, priority } as never;
  return new FakeAdmin()
    .answer('setDistributionPoint', () =>
      aDistributionPoint({ controls: read, serveControls: read }),
    )
    .answer('addDistributionPoint', () => aDistributionPoint({ controls: read }))
    .answer('setLink', () => aLink({ controls: read }))
    .answer('setRoute', () => aRoute({ controls: read }))
    .answer('getPackage', () => aPackage({ properties }))
    .stream('listPackages', () => [aPackage({ properties })]);
}

/** As they come over the wire. */
function controlsOf(hours: readonly Level[]): never {
  const controls = toTransferControlsMessage({ schedule: { timeZone: 'UTC', hours } });
  return { limit: null, schedule: null, ...controls } as TransferControls as never;
}

const always = (level: Level) => Array.from({ length: 168 }, () => level);
const closed = always('closed');

describe('a schedule with which packages wait until it is changed (PTM-5)', () => {
  for (const [line, waiting] of [
    ['dp set PS1DP1 --schedule closed', 'packages for PS1DP1 will wait'],
    ['dp add PS1DP1 --address a:1 --schedule closed', 'packages for PS1DP1 will wait'],
    ['dp set PS1DP1 --serve-schedule closed', 'nothing will be fetched from PS1DP1'],
    ['link set madrid-line --schedule closed', 'packages over link madrid-line will wait'],
    ['route set PS1 PS2 --schedule closed', 'packages from PS1 to PS2 will wait'],
  ] as const) {
    it(`is taken by "${line}", with a warning`, async () => {
      const warning = `The schedule never opens: ${waiting} until it is changed.`;
      const said = await runWaybill(line, { admin: siteWith(closed, 'PRIORITY_NORMAL') });
      assert.equal(said.exitCode, 0, said.stderr);
      assert.ok(said.stdout.split('\n').includes(warning), said.stdout);
      const json = await runWaybill(`${line} --json`, {
        admin: siteWith(closed, 'PRIORITY_NORMAL'),
      });
      assert.deepEqual(JSON.parse(json.stdout).warnings, [warning]);
    });
  }

  it('is one that opens only to a priority that no package has', async () => {
    const line = 'dp set PS1DP1 --schedule "mon 08-18 high-only, else closed"';
    const hours = closed.map((level, hour) => (hour === 8 ? 'high-only' : level));
    const none = await runWaybill(line, { admin: siteWith(hours, 'PRIORITY_NORMAL') });
    assert.match(
      none.stdout,
      /opens only to packages of high priority, and there is none: packages for PS1DP1 will wait until it is changed\.\n/,
    );
    const one = await runWaybill(line, { admin: siteWith(hours, 'PRIORITY_HIGH') });
    assert.doesNotMatch(one.stdout, /wait/);
  });

  for (const line of [
    'dp set PS1DP1 --schedule "sat-sun high-only, else closed"',
    'dp add PS1DP1 --address a:1 --schedule "sat-sun high-only, else closed"',
    'link set madrid-line --schedule "sat-sun high-only, else closed"',
    'route set PS1 PS2 --schedule "sat-sun high-only, else closed"',
  ]) {
    it(`is set by "${line}" though the site goes before it can be looked at`, async () => {
      const failure = new WaybillError({
        code: 'PEER_UNREACHABLE',
        ...{ peer: 'site PS1', address: 'a:1' },
        reason: 'gone',
      });
      for (const error of [failure, new AbortError()]) {
        const fails = () => {
          throw error;
        };
        const going = () =>
          siteWith(always('high-only'), 'PRIORITY_NORMAL')
            .stream('listPackages', fails)
            .stream('listSites', fails);
        const said = await runWaybill(line, { admin: going() });
        assert.equal(said.exitCode, 0, said.stderr);
        assert.match(said.stdout, /is (changed|added|set)|reaches site/);
        assert.match(said.stderr, /it is done; but it could not be looked up whether/);
        const json = await runWaybill(`${line} --json`, { admin: going() });
        assert.equal(json.exitCode, 0, json.stderr);
        assert.equal(JSON.parse(json.stdout).warnings, undefined);
      }
    });
  }

  it('is looked at when all of what was done is told, the one-time token too', async () => {
    const admin = siteWith(always('high-only'), 'PRIORITY_NORMAL');
    const run = new Run({ admin });
    let toldBefore = '';
    admin.stream('listPackages', () => {
      toldBefore = run.stdout.text;
      return [];
    });
    await run.run('dp add PS1DP1 --address a:1 --schedule "sat-sun high-only, else closed"');
    const { token } = aCreatedEnrollment('');
    assert.match(toldBefore, /is added/);
    assert.ok(toldBefore.includes(token), toldBefore);
    assert.match(run.stdout.text.slice(toldBefore.length), /opens only to packages of high/);
  });

  it('is not one that opens in an hour, nor one that was set before', async () => {
    const opening = closed.map((level, hour) => (hour === 100 ? 'open' : level));
    const line = 'dp set PS1DP1 --schedule "fri 04-05 open, else closed" --json';
    const admin = siteWith(opening, 'PRIORITY_NORMAL');
    const open = await runWaybill(line, { admin });
    assert.equal(JSON.parse(open.stdout).warnings, undefined);
    assert.ok(!admin.calls.some(({ method }) => method === 'listPackages'), 'nobody is asked');
    const before = await runWaybill('dp set PS1DP1 --description x', {
      admin: siteWith(closed, 'PRIORITY_NORMAL'),
    });
    assert.doesNotMatch(before.stdout, /never opens/);
  });

  it('is warned of when a package is sent to its DPs', async () => {
    const sent = 'Package PS100001 goes to PS1DP1, PS1DP2.\n';
    const line = 'package distribute PS100001 --dp PS1DP1 --dp PS1DP2';
    for (const [hours, when] of [
      [closed, 'The schedule never opens'],
      [always('high-only'), 'The schedule never opens to packages of normal priority'],
    ] as const) {
      const warning = `${when}: packages for PS1DP1, PS1DP2 will wait until it is changed.`;
      const admin = () =>
        siteWith(hours, 'PRIORITY_NORMAL').stream('listDistributionPoints', () =>
          ['PS1DP1', 'PS1DP2', 'PS1DP3'].map((dpId) =>
            aDistributionPoint({ dpId, controls: controlsOf(hours) }),
          ),
        );
      const { stdout, stderr } = await runWaybill(line, { admin: admin() });
      assert.equal(stdout, `${sent}${warning}\n`, stderr);
      const json = await runWaybill(`${line} --json`, { admin: admin() });
      assert.deepEqual(JSON.parse(json.stdout).warnings, [warning]);
      const removal = await runWaybill('package remove PS100001 --dp PS1DP2', { admin: admin() });
      assert.doesNotMatch(removal.stdout, /never opens/);
    }
  });
});
