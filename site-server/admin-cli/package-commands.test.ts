import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { FakeAdmin, Feed } from './testing/fake-admin.ts';
import type { aJob } from './testing/job-answers.ts';
import { aPackage, aStatus } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';
import { aChildSite, aSiteRecord } from './testing/site-answers.ts';

/** Request 4 is accepted and not handled yet. */
const pending = aPackage({
  state: 'PACKAGE_STATE_PENDING',
  acceptedRequestCount: '4',
  handledRequestCount: '3',
});
const handled = { acceptedRequestCount: '4', handledRequestCount: '4' };

describe('waybill package create (PKG-1, PKG-11)', () => {
  it('sends what was given, and its defaults', async () => {
    const { admin, exitCode } = await runWaybill(
      `package create --name Tools --source /srv/a --source /srv/b --version 1.0 --no-wait ` +
        `--priority high --program 'install=setup.sh --quiet=yes' --program 'remove=rm.sh'`,
    );
    assert.equal(exitCode, 0);
    assert.deepEqual(admin.requestOf('createPackage'), {
      sourceDirectories: ['/srv/a', '/srv/b'],
      properties: {
        name: 'Tools',
        version: '1.0',
        manufacturer: '',
        language: '',
        description: '',
        priority: 'PRIORITY_HIGH',
        programs: [
          { name: 'install', commandLine: 'setup.sh --quiet=yes' },
          { name: 'remove', commandLine: 'rm.sh' },
        ],
      },
    });
  });

  it('says which site was asked for a source that it cannot read, and what to do', async () => {
    const admin = new FakeAdmin().answer('createPackage', () => {
      throw new WaybillError({ code: 'SOURCE_MISSING', path: '/srv/a' });
    });
    const line = 'package create --name T --source /srv/a';
    const { exitCode, stderr } = await runWaybill(line, { admin });
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /Source \/srv\/a.*Site PS1 at site\.example\.org:8530 was asked.*--server/,
    );
    const json = JSON.parse((await runWaybill(`${line} --json`, { admin })).stderr);
    assert.deepEqual([json.error.code, json.error.siteCode], ['SOURCE_MISSING', 'PS1']);
  });

  it('sends the icon file, and refuses one that is none, before anything is sent', async () => {
    await using directory = await TemporaryDirectory.create();
    const icon = join(directory.path, 'tools.ico');
    await writeFile(icon, 'image');
    const sent = await runWaybill(`package create --name T --source /a --icon ${icon} --no-wait`);
    const { properties } = sent.admin.requestOf('createPackage') as { properties: object };
    assert.deepEqual(
      { ...properties },
      { ...properties, iconName: 'tools.ico', icon: Buffer.from('image') },
    );
    for (const bytes of [0, 256 * 1024 + 1]) {
      await writeFile(icon, Buffer.alloc(bytes));
      const refused = await runWaybill(`package create --name T --source /a --icon ${icon}`);
      assert.equal(refused.exitCode, 2);
      assert.match(refused.stderr, /^waybill: --icon: expected a file of 1 byte to 256 KiB, got/);
      assert.deepEqual(refused.admin.calls, []);
    }
    const missing = await runWaybill(`package create --name T --source /a --icon ${icon}.png`);
    assert.match(
      missing.stderr,
      /--icon: expected an image file, got .*, which cannot be read: there is no such file/,
    );
  });

  it('--no-wait says that the source will be read, and asks nothing more', async () => {
    const { stdout, admin } = await runWaybill('package create --name T --source /a --no-wait');
    assert.equal(stdout, 'Package PS100001 is accepted; its source will be read.\n');
    assert.equal(admin.calls.length, 1);
  });
});

describe('waiting for a snapshot (PKG-2, PKG-5)', () => {
  function adminWith(...seen: ReturnType<typeof aPackage>[]): FakeAdmin {
    return new FakeAdmin()
      .answer('updatePackage', () => pending)
      .stream('watchPackage', () => seen);
  }

  it('ends when its own request is handled, not when an earlier one is', async () => {
    const admin = adminWith(
      aPackage({ acceptedRequestCount: '4', handledRequestCount: '3' }),
      aPackage({ ...pending, state: 'PACKAGE_STATE_SNAPSHOT', snapshotBytes: '1024' }),
      aPackage({ ...handled, sourceVersion: 4 }),
    );
    const { stdout, exitCode } = await runWaybill('package update PS100001', { admin });
    assert.equal(exitCode, 0);
    assert.deepEqual(stdout.split('\n'), [
      'Package PS100001: waiting for its turn',
      'Package PS100001: reading the source',
      'Package PS100001 version 4 is published: 1,234 files, 2.3 GiB. It goes to 3 DPs.',
      '',
    ]);
  });

  it('says when the site that is to read the source is not connected', async () => {
    const ofOther = { ...pending, packageId: 'PS200001', sourceSiteCode: 'PS2' };
    const read = { ...ofOther, state: 'PACKAGE_STATE_PUBLISHED', ...handled } as const;
    const silent = { connected: false, reason: 'x', changesBehind: '0', behindMs: '0' };
    const away = aChildSite({ parentSiteCode: 'PS1', replication: { ...silent, heardAtMs: '0' } });
    const admin = adminWith(aPackage(read))
      .answer('updatePackage', () => aPackage(ofOther))
      .stream('listSites', () => [aSiteRecord(), away]);
    const { stderr, exitCode } = await runWaybill('package update PS200001', { admin });
    assert.equal(exitCode, 0);
    assert.match(
      stderr,
      /^waybill: PS2 is not connected and was not heard of since the site that answers began; /,
    );
  });

  it('says that an unchanged source means nothing to do', async () => {
    const admin = adminWith(aPackage({ ...handled, sourceUnchanged: true }));
    const { stdout, exitCode } = await runWaybill('package update PS100001', { admin });
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /The source of package PS100001 is unchanged: nothing to do, version 3 stays/,
    );
  });

  const onVersionTwo = {
    state: 'PACKAGE_STATUS_STATE_CONTENT_UPDATING',
    installedVersion: 2,
    reason: 'window closed',
  } as const;

  it('says of an unchanged source how many DPs do not have the version yet', async () => {
    const leaving = { state: 'PACKAGE_STATUS_STATE_REMOVAL_PENDING', installedVersion: 2 } as const;
    const rows = [
      aStatus({ dpId: '', ...onVersionTwo }),
      aStatus({ dpId: 'PS1DP1', ...onVersionTwo }),
      aStatus({ dpId: 'PS1DP2' }),
      aStatus({ dpId: 'PS1DP3', ...leaving }),
    ];
    const admin = adminWith(aPackage({ ...handled, sourceUnchanged: true }));
    admin.stream('listPackageStatus', () => rows);
    const { stdout, exitCode } = await runWaybill('package update PS100001', { admin });
    assert.equal(exitCode, 0);
    assert.match(
      stdout,
      /is unchanged: version 3 stays\. 1 DP does not have it yet: waybill status PS100001\n$/,
    );
    const json = await runWaybill('package update PS100001 --json', { admin });
    assert.deepEqual(JSON.parse(json.stdout).lackingDpIds, ['PS1DP1']);
  });

  for (const sourceUnchanged of [true, false]) {
    const which = sourceUnchanged ? 'unchanged' : 'changed';
    it(`--wait waits for the DPs that do not have the version yet, the source being ${which}`, async () => {
      const status = new Feed<ReturnType<typeof aStatus>>();
      const jobs = new Feed<ReturnType<typeof aJob>>();
      const before = aStatus({ dpId: 'PS1DP1', ...onVersionTwo });
      const admin = adminWith(aPackage({ ...handled, sourceUnchanged }))
        .stream('listPackageStatus', () => [before, aStatus({ dpId: 'PS1DP2' })])
        .stream('watchPackageStatus', (_request, signal) => status.read(signal))
        .stream('watchJobs', (_request, signal) => jobs.read(signal));
      const run = new Run({ admin });
      const ended = run.run('package update PS100001 --wait');
      await run.whenWritten('PS1DP1: waiting: window closed');
      // What comes of the version before says nothing of this one.
      status.push(aStatus({ dpId: 'PS1DP1', installedVersion: 2, targetVersion: 2 }));
      status.push(before);
      status.push(aStatus({ dpId: 'PS1DP1' }));
      assert.equal(await ended, 0);
      assert.match(run.stdout.text, /PS1DP1: waiting: window closed\n(.*\n)*PS100001 on PS1DP1: i/);
      assert.match(run.stdout.text, /Package PS100001 is on, verified: PS1DP1\.\n$/);
      assert.deepEqual(status.unread, []);
    });
  }

  it('--wait fails when this very version has failed on a DP', async () => {
    const failed = {
      state: 'PACKAGE_STATUS_STATE_INSTALL_FAILED',
      installedVersion: 2,
      reason: 'no room',
    } as const;
    const admin = adminWith(aPackage({ ...handled, sourceUnchanged: true }))
      .stream('listPackageStatus', () => [aStatus({ dpId: 'PS1DP1', ...failed })])
      .stream('watchPackageStatus', () => [])
      .stream('watchJobs', () => []);
    const { stderr, exitCode } = await runWaybill('package update PS100001 --wait', { admin });
    assert.equal(exitCode, 1);
    assert.match(stderr, /^waybill: Package PS100001 failed on PS1DP1 \(no room\)\n$/);
  });

  it('on a terminal shows how far the reading is, guessed from the last version', async () => {
    const feed = new Feed<ReturnType<typeof aPackage>>();
    const admin = adminWith().stream('watchPackage', (_request, signal) => feed.read(signal));
    const run = new Run({ admin, terminal: { columns: 80, rows: 24 } });
    feed.push(
      aPackage({ ...pending, state: 'PACKAGE_STATE_SNAPSHOT', snapshotBytes: '1234803097' }),
    );
    const ended = run.run('package update PS100001');
    await run.whenWritten('\n');
    await run.clock.advance(1_000);
    assert.match(
      run.stdout.text,
      /reading the source.*\n.*█.*░.* about {2}49 % {2}1\.15 GiB of 2\.3 GiB/,
    );
    feed.push(aPackage({ ...handled, sourceVersion: 4 }));
    assert.equal(await ended, 0);
  });

  it('with --json writes the package as it came to be, and no progress', async () => {
    const admin = adminWith(pending, aPackage({ ...handled, sourceVersion: 4 }));
    const { stdout } = await runWaybill('package update PS100001 --json', { admin });
    const record = JSON.parse(stdout);
    assert.equal(record.sourceVersion, 4);
    assert.equal(record.state, 'published');
    assert.equal(record.packageHash, 'ab'.repeat(32));
    assert.equal(record.sizeBytes, 2_469_606_195);
  });

  it('fails with the reason when the source was refused', async () => {
    const reason = 'Source /srv/a/pipe is a fifo\u001b[2J';
    const admin = adminWith(aPackage({ ...handled, state: 'PACKAGE_STATE_FAILED', reason }));
    const text = await runWaybill('package update PS100001', { admin });
    assert.equal(text.exitCode, 1);
    assert.equal(
      text.stderr,
      'waybill: Package PS100001 was not published: Source /srv/a/pipe is a fifo\\u001b[2J. Correct the source, then: waybill package update PS100001\n',
    );
    const json = await runWaybill('package update PS100001 --json', { admin });
    const { code, packageId } = JSON.parse(json.stderr).error;
    assert.deepEqual([code, packageId, json.stdout], ['PACKAGE_FAILED', 'PS100001', '']);
  });

  it('fails when the package is deleted meanwhile', async () => {
    const admin = adminWith(aPackage({ state: 'PACKAGE_STATE_DELETING' }));
    const { exitCode, stderr } = await runWaybill('package update PS100001', { admin });
    assert.equal(exitCode, 1);
    assert.equal(stderr, 'waybill: Package PS100001 was deleted meanwhile\n');
  });

  it('Ctrl-C ends the waiting, says that the work goes on, and is no success', async () => {
    const feed = new Feed<ReturnType<typeof aPackage>>();
    const admin = adminWith().stream('watchPackage', (_request, signal) => feed.read(signal));
    const run = new Run({ admin });
    feed.push(pending);
    const ended = run.run('package update PS100001');
    await run.whenWritten('waiting');
    run.interrupt();
    assert.equal(await ended, 1);
    assert.match(
      run.stderr.text,
      /^waybill: Interrupted\. What the site server has accepted goes on/,
    );
    assert.ok(admin.isClosed);
  });
});

describe('waybill package set', () => {
  it('set replaces programs when they are given, and only then', async () => {
    const { admin } = await runWaybill("package set PS100001 --program 'install=setup.sh'");
    const programs = { programs: [{ name: 'install', commandLine: 'setup.sh' }] };
    assert.deepEqual(admin.requestOf('setPackage'), {
      packageId: 'PS100001',
      sourceDirectories: [],
      properties: { programs },
    });
  });

  it('sends only what is to change', async () => {
    const { admin } = await runWaybill('package set PS100001 --description "" --remove-programs');
    assert.deepEqual(admin.requestOf('setPackage'), {
      packageId: 'PS100001',
      sourceDirectories: [],
      properties: { description: '', programs: { programs: [] } },
    });
  });

  it('removes the icon', async () => {
    const { admin } = await runWaybill('package set PS100001 --remove-icon');
    const expected = {
      packageId: 'PS100001',
      sourceDirectories: [],
      properties: { icon: { name: '', bytes: Buffer.alloc(0) } },
    };
    assert.deepEqual(admin.requestOf('setPackage'), expected);
  });

  it('moves the source', async () => {
    const { admin } = await runWaybill('package set PS100001 --source /srv/b');
    const expected = { packageId: 'PS100001', sourceDirectories: ['/srv/b'] };
    assert.deepEqual(admin.requestOf('setPackage'), expected);
  });

  it('refuses to set nothing', async () => {
    const { admin, exitCode, stderr } = await runWaybill('package set PS100001');
    assert.equal(exitCode, 2);
    assert.match(stderr, /^waybill: expected something to set/);
    assert.deepEqual(admin.calls, []);
  });
});

describe('waybill package delete (PKG-7)', () => {
  const asked = (answer: string) => ({
    terminal: { columns: 80, rows: 24 },
    surroundings: { question: async () => answer },
  });

  it('without a terminal and without --yes nothing is sent', async () => {
    const { admin, exitCode, stderr } = await runWaybill('package delete PS100001');
    assert.equal(exitCode, 2);
    assert.match(stderr, /^waybill: expected --yes/);
    assert.deepEqual(admin.calls, []);
  });

  it('on a terminal the package ID confirms', async () => {
    const { admin, exitCode } = await runWaybill('package delete PS100001', asked('PS100001'));
    assert.equal(exitCode, 0);
    assert.deepEqual(admin.requestOf('deletePackage'), { packageId: 'PS100001' });
  });

  it('any other answer does not', async () => {
    const { admin, exitCode, stderr } = await runWaybill('package delete PS100001', asked('y'));
    assert.equal(exitCode, 1);
    assert.equal(stderr, 'waybill: Package PS100001 was not deleted\n');
    assert.ok(!admin.calls.some(({ method }) => method === 'deletePackage'));
  });

  it('says from how many DPs and sites it is taken, before and after', async () => {
    const questions: string[] = [];
    const terminal = { columns: 80, rows: 24 };
    const question = async (text: string) => {
      questions.push(text);
      return 'PS100001';
    };
    const admin = new FakeAdmin().stream('listPackageStatus', () => [
      aStatus({ dpId: '' }),
      aStatus(),
      aStatus({ dpId: 'PS1DP2' }),
      aStatus({ dpId: 'PS2DP1', siteCode: 'PS2' }),
    ]);
    const options = { admin, terminal, surroundings: { question } };
    const { stdout } = await runWaybill('package delete PS100001', options);
    assert.match(questions[0] ?? '', /It is taken off 3 DPs of 2 sites\. Type its ID/);
    assert.match(stdout, /^Package PS100001 is being deleted, from 3 DPs of 2 sites\.\n$/m);
  });

  it('--wait waits until it is gone', async () => {
    const admin = new FakeAdmin().stream('watchPackage', () => [
      aPackage({ state: 'PACKAGE_STATE_DELETING' }),
      aPackage({ state: 'PACKAGE_STATE_DELETED' }),
    ]);
    const { stdout } = await runWaybill('package delete PS100001 --yes --wait', { admin });
    assert.match(stdout, /being deleted from every DP\nPackage PS100001 is deleted\.\n$/);
  });

  it('--wait ends well when it is gone before it can be watched', async () => {
    const admin = new FakeAdmin().stream('watchPackage', () => {
      throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS100001' });
    });
    const end = await runWaybill('package delete PS100001 --yes --wait', { admin });
    assert.match(end.stdout, /Package PS100001 is deleted\.\n$/);
    assert.equal(end.exitCode, 0);
  });
});

describe('waybill package list and show', () => {
  it('list is a table', async () => {
    const { stdout } = await runWaybill('package list');
    assert.deepEqual(stdout.split('\n').slice(0, 2), [
      'package   name       version  source version  state      files     size  on DPs',
      'PS100001  Office 16  16.0.2                3  published  1,234  2.3 GiB  2 of 3',
    ]);
  });

  it('an empty list says what to do, and is an empty array', async () => {
    const admin = new FakeAdmin().stream('listPackages', () => []);
    assert.match((await runWaybill('package list', { admin })).stdout, /^There are no packages\. /);
    assert.equal((await runWaybill('package list --json', { admin })).stdout, '[]\n');
  });

  it('show has the facts and, below them, where it is', async () => {
    const { stdout } = await runWaybill('package show PS100001');
    assert.match(stdout, /^program {9}install=setup\.sh --quiet$/m);
    assert.match(stdout, /^content {9}1,234 files, 2\.3 GiB$/m);
    assert.match(stdout, /^PS1DP1 {2}installed +3 +3 min ago$/m);
  });
});
