import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary } from '../testing/test-library.ts';
import { PackageLibrary } from './package-library.ts';

const packageId = 'PS100001';

describe('package library', () => {
  it('keeps the contents of both versions when it is not known which one a power cut leaves', async () => {
    await using directory = await TemporaryDirectory.create();
    await using test = await TestLibrary.open({ directory: directory.path });
    const first = { ...(await test.commit(packageId, 1, { a: Buffer.from('1') })), jobSerial: 1 };
    const second = { ...(await test.commit(packageId, 2, { a: Buffer.from('2') })), jobSerial: 2 };
    await using records = await TemporaryDirectory.create();
    const packages = new PackageLibrary(records.path);
    await packages.prepare(first);
    await packages.publish(first);
    await packages.prepare(second);
    for (const name of await readdir(records.path)) {
      if (name.endsWith('.tmp')) await rm(records.join(name));
    }
    await assert.rejects(packages.publish(second), { code: 'ENOENT' });
    assert.equal(packages.get(packageId), first);
    for (const { contents } of [first, second]) {
      assert.equal(packages.contentOf(contents[0]?.contentId ?? '')?.packageId, packageId);
    }

    await packages.prepare(second);
    await packages.publish(second);
    assert.equal(packages.get(packageId), second);
    assert.equal(packages.contentOf(first.contents[0]?.contentId ?? ''), undefined);
  });
});
