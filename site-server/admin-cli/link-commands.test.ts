import assert from 'node:assert/strict';
import { FakeAdmin } from './testing/fake-admin.ts';
import { refusesBeforeSending } from './testing/refused-lines.ts';
import { runWaybill } from './testing/run-waybill.ts';

describe('waybill link (ADM-3, PTM-6)', () => {
  it('set sends what is given, and says what holds', async () => {
    const line = 'link set madrid-line --dp PS1DP1 --dp PS1DP2 --to PS2 --limit 20MB/s --site PS1';
    const { admin, stdout } = await runWaybill(line);
    assert.deepEqual(admin.requestOf('setLink'), {
      ...{ linkName: 'madrid-line', siteCode: 'PS1' },
      ...{ dpIds: { names: ['PS1DP1', 'PS1DP2'] }, toSiteCodes: { names: ['PS2'] } },
      controls: { limit: { bytesPerSecond: 20_000_000 } },
    });
    assert.equal(
      stdout,
      'Link madrid-line from site PS1 to PS1DP1, PS1DP2, site PS2 is set, with the limit 20 MB/s, at all hours.\n',
    );
    const emptied = await runWaybill('link set madrid-line --to none');
    const none = { linkName: 'madrid-line', toSiteCodes: { names: [] } };
    assert.deepEqual(emptied.admin.requestOf('setLink'), none);
  });

  it('list, show and delete tell of them', async () => {
    const { stdout } = await runWaybill('link');
    assert.deepEqual(stdout.split('\n').slice(0, 2), [
      'link         from  DPs             to sites    limit  description',
      'madrid-line  PS1   PS1DP1, PS1DP2  PS2       20 MB/s  Rented',
    ]);
    const show = await runWaybill('link show madrid-line --json');
    assert.equal(JSON.parse(show.stdout).controls.limit.bytesPerSecond, 20_000_000);
    const { exitCode, stderr } = await runWaybill('link show other');
    assert.equal(exitCode, 1);
    assert.match(stderr, /There is no link other\. "waybill link list"/);
    const { admin } = await runWaybill('link delete madrid-line');
    assert.deepEqual(admin.requestOf('deleteLink'), { linkName: 'madrid-line' });
    const empty = await runWaybill('link list', {
      admin: new FakeAdmin().stream('listLinks', () => []),
    });
    assert.equal(empty.stdout, 'There are no links. "waybill link set" makes one.\n');
  });

  refusesBeforeSending([
    ['link set madrid-line', 'expected something to set: --dp, --to, --limit'],
    ['link set a/b --dp PS1DP1', '<link>: expected a name'],
    ['link set line --dp none --dp PS1DP1', '--dp: expected "none" or names, not both'],
    ['link set line --to ps2', '--to: expected a site code such as PS1, or none'],
    ['link set line --dp PS1DP1 --limit 5', '--limit: expected a rate'],
  ]);
});
