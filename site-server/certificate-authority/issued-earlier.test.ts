import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { IssuedEarlier } from './issued-earlier.ts';

const issued: IssuedCertificateRecord = {
  ...{ kind: 'leaf', serialNumber: '0a', holder: 'admin/bob' },
  identityUri: 'waybill://admin/full/bob',
  ...{ issuedAtMs: 5, notBeforeMs: 4, notAfterMs: 9, knownRevokedAtMs: 0 },
  rootKeyId: 'ab'.repeat(32),
};
const authority: IssuedCertificateRecord = {
  ...{ kind: 'authority', serialNumber: '0b', holder: 'site/PS1' },
  ...{ identityUri: 'waybill://site/PS1', issuedAtMs: 6, notBeforeMs: 4, notAfterMs: 9 },
  rootKeyId: '',
};

describe('what was issued while no site server ran', () => {
  let place: TemporaryDirectory;
  const path = () => place.join('issued-earlier.json');

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
  });
  afterEach(() => place[Symbol.asyncDispose]());

  async function handedOver(): Promise<IssuedCertificateRecord[]> {
    const rows: IssuedCertificateRecord[] = [];
    await new IssuedEarlier(place.path).handOver({
      record: async (one) => {
        rows.push(one);
      },
    });
    return rows;
  }

  it('goes into the table of the next one, once', async () => {
    for (const one of [issued, authority]) await new IssuedEarlier(place.path).record(one);
    assert.deepEqual(await handedOver(), [issued, authority]);
    await assert.rejects(stat(path()), { code: 'ENOENT' });
    assert.deepEqual(await handedOver(), []);
  });

  it('is what is sound of a file that was damaged: neither a site server nor a command fails by it', async () => {
    const damaged: readonly [unknown, IssuedCertificateRecord[]][] = [
      [null, []],
      [{}, []],
      ['text', []],
      [[null, 5, [], issued], [issued]],
      [[{ ...issued, issuedAtMs: -1 }, authority], [authority]],
      [[{ ...issued, issuedAtMs: 'now' }], []],
      [[{ ...issued, holder: undefined }], []],
      [[{ ...issued, holder: 'admin/a/b' }], []],
      [[{ ...issued, serialNumber: '../x' }], []],
      [[{ ...issued, identityUri: 'https://example.org' }], []],
    ];
    for (const [content, expected] of damaged) {
      await writeSecretFile(path(), JSON.stringify(content));
      assert.deepEqual(await handedOver(), expected, JSON.stringify(content));
      await writeSecretFile(path(), JSON.stringify(content));
      await new IssuedEarlier(place.path).record(issued);
      const kept = JSON.parse(await readFile(path(), 'utf8')) as unknown;
      assert.deepEqual(kept, [...expected, issued]);
    }
  });
});
