import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import {
  type IssuedCertificate,
  issueRoot,
} from '../../shared/certificates/certificate-issuing.ts';
import { encodeTrustBundle, signTrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { fromRootsFileText, writeRootsFile } from '../../shared/certificates/trusted-roots.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import type { AdminChannel } from './admin-channel.ts';
import { lookAfterRoots } from './own-roots.ts';

const dayMs = 24 * 3_600_000;

describe('roots that an administrator trusts', () => {
  let place: TemporaryDirectory;
  let clock: FakeClock;
  let old: IssuedCertificate;
  let next: IssuedCertificate;
  let asked: string[];
  let told: Buffer;
  const path = () => place.join('roots.crt');
  const channel = {
    unary: async (method: string) => {
      asked.push(method);
      return { trustBundle: told };
    },
  } as unknown as AdminChannel;
  const look = () => lookAfterRoots({ channel, rootsFile: path() }, clock);
  const generation = async () => fromRootsFileText(await readFile(path(), 'latin1')).generation;
  const bundleBy = (signer: IssuedCertificate) => {
    const roots = [next.certificate, old.certificate];
    return encodeTrustBundle(signTrustBundle({ generation: 2, roots, signedAtMs: 1 }, [signer]));
  };

  before(async () => {
    clock = new FakeClock();
    const notBefore = new Date(clock.nowMs() - dayMs);
    const validity = { notBefore, notAfter: new Date(clock.nowMs() + 100 * dayMs) };
    old = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    next = await issueRoot({ name: 'Waybill root CS1 2', ...validity });
  });
  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    asked = [];
    await writeRootsFile(path(), { generation: 1, roots: [old.certificate] });
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('are asked for after each command, and taken when one that is trusted has signed them', async () => {
    told = Buffer.alloc(0);
    await look();
    assert.equal(await generation(), 1);
    told = bundleBy(old);
    await look();
    assert.equal(await generation(), 2);
    assert.deepEqual(asked, ['getTrustBundle', 'getTrustBundle']);
  });

  it('are written only when they are others', async () => {
    told = bundleBy(old);
    await look();
    const { ino } = await stat(path());
    await look();
    assert.equal((await stat(path())).ino, ino);
  });

  it('stay as they are with what nobody trusted has signed, or nothing', async () => {
    for (const bytes of [bundleBy(next), Buffer.alloc(0), Buffer.from('hello')]) {
      told = bytes;
      await look();
      assert.equal(await generation(), 1);
    }
    assert.equal(asked.length, 3);
  });

  it('are left alone where somebody else has put them, and whatever fails', async () => {
    await writeFile(path(), old.certificate);
    await look();
    assert.deepEqual(asked, []);
    await lookAfterRoots({ channel, rootsFile: place.join('none') }, clock);
    await lookAfterRoots({ channel }, clock);
    await writeRootsFile(path(), { generation: 1, roots: [old.certificate] });
    const failing = { unary: () => Promise.reject(new Error('gone')) } as unknown as AdminChannel;
    await lookAfterRoots({ channel: failing, rootsFile: path() }, clock);
    assert.equal(await generation(), 1);
  });
});
