import assert from 'node:assert/strict';
import type { DistributionPointSettings } from '../../shared/rpc/generated/waybill/v1/DistributionPointSettings.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { refusesBeforeSending } from './testing/refused-lines.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aDistributionPoint } from './testing/site-answers.ts';

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

  refusesBeforeSending([
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
  ]);

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
