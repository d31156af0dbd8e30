import assert from 'node:assert/strict';
import { chmod, readFile, rm } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { readAuthority } from './authority-files.ts';
import { inAuthority, TestAuthority } from './testing/test-authority.ts';

describe('the files of an authority', () => {
  let files: TestAuthority;
  beforeEach(async () => {
    files = await TestAuthority.make({ clock: new FakeClock() });
  });
  afterEach(() => files[Symbol.asyncDispose]());

  const path = (name: string) => inAuthority(files, name);
  const read = () => readAuthority(files.directory);
  const refused = (message: RegExp) => ({ code: 'CERTIFICATE_INVALID', message });

  for (const [what, spoil] of [
    ['is damaged', () => writeSecretFile(path('authority.pem'), 'damaged')],
    ['has another key', spoilKey],
    ['is not there', () => rm(path('authority.pem'))],
  ] as const) {
    it(`that ${what} are put back at the top from a backup, not removed`, async () => {
      await spoil();
      const words =
        /move .*authority away, and call "waybill-site restore-authority" with its backup$/;
      await assert.rejects(read(), refused(words));
      await rm(path('trust-bundle.json'));
      await assert.rejects(
        read(),
        refused(/call "waybill site enroll" for this site at the top site, move/),
      );
    });
  }

  it('that others may read are told so, and nothing is to be put back', async () => {
    await chmod(path('authority.pem'), 0o644);
    await assert.rejects(read(), ({ message }: Error) => !/restore-authority/.test(message));
  });

  async function spoilKey(): Promise<void> {
    await using other = await TestAuthority.make({ clock: new FakeClock() });
    const [foreign, own] = [
      await readFile(inAuthority(other, 'authority.pem'), 'utf8'),
      await readFile(path('authority.pem'), 'utf8'),
    ];
    const [key = ''] =
      /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----/.exec(foreign) ?? [];
    const mixed = own.replace(/-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----/, key);
    await writeSecretFile(path('authority.pem'), mixed);
  }
});
