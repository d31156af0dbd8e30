import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { anImport } from './testing/package-answers.ts';
import { Run, runWaybill } from './testing/run-waybill.ts';

describe('waybill package export (PKG-12)', () => {
  it('asks for all of the package, and says what came of it', async () => {
    const { admin, stdout } = await runWaybill('package export PS100001 --to /media/o.wbp');
    assert.deepEqual(admin.requestOf('exportPackage'), {
      ...{ packageId: 'PS100001', path: '/media/o.wbp', baseVersion: 0, overwrite: false },
    });
    assert.equal(
      stdout,
      [
        'Package PS100001: packing 50 %',
        'Package PS100001: packing',
        'Package PS100001 version 4 is in /media/o.wbp on the server of site PS1: 2 MiB.',
        'Next, where it is to be: waybill package import, or waybill-dp import',
        '',
      ].join('\n'),
    );
  });

  it('asks for what changed since a version, and to replace a file', async () => {
    const { admin } = await runWaybill('package export PS100001 --to /o.wbp --since 3 --force');
    assert.deepEqual(admin.requestOf('exportPackage'), {
      ...{ packageId: 'PS100001', path: '/o.wbp', baseVersion: 3, overwrite: true },
    });
  });

  it('--json is one value', async () => {
    const { stdout } = await runWaybill('package export PS100001 --to /o.wbp --json');
    const { sourceVersion, fileBytes, fileHash } = JSON.parse(stdout);
    assert.deepEqual({ sourceVersion, fileBytes }, { sourceVersion: 4, fileBytes: 2_097_152 });
    assert.equal(fileHash, '00'.repeat(32));
  });

  it('says of a full disk that nothing goes on by itself', async () => {
    const details = { path: '/media', freeBytes: 1_048_576, neededBytes: 2_097_152 } as const;
    const admin = new FakeAdmin().stream('exportPackage', () => {
      throw new WaybillError({ code: 'DISK_FULL', ...details });
    });
    const end = await runWaybill('package export PS100001 --to /media/o.wbp', { admin });
    assert.equal(end.exitCode, 1);
    assert.match(end.stderr, /1 MiB free; 2 MiB are needed. Nothing was left there/);
  });

  for (const [line, words] of [
    ['package export PS100001', /to/],
    ['package export PS100001 --to here.wbp', /an absolute path on the site server/],
    ['package export PS100001 --to /o.wbp --since 0', /a whole number from 1/],
    ['package export office --to /o.wbp', /a package ID such as PS100001/],
    ['package import', /file/],
    ['package import here.wbp', /an absolute path on the site server/],
  ] as const) {
    it(`refuses "${line}"`, async () => {
      const { admin, exitCode, stderr } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.match(stderr, words);
      assert.deepEqual(admin.calls, []);
    });
  }
});

describe('waybill package import (PKG-12)', () => {
  it('says that it is stored, and until when it stays in any case', async () => {
    const { admin, stdout } = await runWaybill('package import /media/o.wbp');
    assert.deepEqual(admin.requestOf('importPackage'), { path: '/media/o.wbp' });
    assert.match(
      stdout,
      /Package PS100001 version 4 is stored at site PS1: nothing of it has to be sent there/,
    );
    assert.match(stdout, /stays while a DP of site PS1 is to have it, and until 2026-09-2\d/);
  });

  it('says what it waits for; that is no failure', async () => {
    const admin = new FakeAdmin().stream('importPackage', () => [
      anImport('IMPORT_STAGE_COPYING'),
      anImport('IMPORT_STAGE_UNPACKING'),
      anImport('IMPORT_STAGE_WAITING', 'metadata has not arrived'),
    ]);
    const { exitCode, stdout } = await runWaybill('package import /o.wbp', { admin });
    assert.equal(exitCode, 0);
    assert.match(stdout, /v4: copying 50 %\nPackage PS100001 v4: unpacking 50 %/);
    assert.match(
      stdout,
      /is at site PS1 and waits: metadata has not arrived. It goes on by itself/,
    );
  });

  it('draws a bar on a terminal, and asks another site when told to', async () => {
    const run = new Run({ terminal: { columns: 80, rows: 24 } });
    assert.equal(await run.run('package import /o.wbp --site PS2'), 0);
    assert.deepEqual(run.otherSite.requestOf('importPackage'), { path: '/o.wbp' });
  });
});
