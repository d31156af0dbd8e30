import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { certificateBlocks } from '../rpc/certificate-trust.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { type IssuedCertificate, issueRoot } from './certificate-issuing.ts';
import { signTrustBundle } from './trust-bundle.ts';
import { TrustedRoots, writeRootsFile } from './trusted-roots.ts';

const clock = new FakeClock();
const yearMs = 365 * 24 * 3_600_000;
const validity = {
  notBefore: new Date(clock.nowMs() - yearMs),
  notAfter: new Date(clock.nowMs() + yearMs),
};

describe('trusted roots', () => {
  let place: TemporaryDirectory;
  let old: IssuedCertificate;
  let next: IssuedCertificate;
  const path = () => place.join('roots.crt');
  const bundle = (generation: number, roots: IssuedCertificate[], signer: IssuedCertificate) => {
    const facts = { generation, roots: roots.map((one) => one.certificate), signedAtMs: 1 };
    return signTrustBundle(facts, [signer]);
  };

  before(async () => {
    old = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    next = await issueRoot({ name: 'Waybill root CS1 2', ...validity });
  });
  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    await writeRootsFile(path(), { generation: 1, roots: [old.certificate] });
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('change by bundles, one after the other, and stay changed', async () => {
    const roots = await TrustedRoots.open(path(), clock);
    assert.equal(roots.held.generation, 1);
    let changes = 0;
    const end = roots.onChange(() => changes++);
    const both = bundle(2, [next, old], old);
    assert.equal((await roots.take(both)).kind, 'newer');
    assert.equal((await roots.take(both)).kind, 'same');
    const only = bundle(3, [next], next);
    assert.equal((await roots.take(only)).kind, 'newer');
    assert.equal((await roots.take(both)).kind, 'older', 'rollback');
    end();
    assert.equal(changes, 2);
    const again = await TrustedRoots.open(path(), clock);
    assert.equal(again.held.generation, 3);
    assert.equal(certificateBlocks(await readFile(path())).length, 1);
    assert.equal(again.verdictOn(both).kind, 'older');
  });

  it('change by none that a trusted root has not signed', async () => {
    const roots = await TrustedRoots.open(path(), clock);
    const before = await readFile(path(), 'utf8');
    assert.equal((await roots.take(bundle(2, [next], next))).kind, 'refused');
    assert.equal(await readFile(path(), 'utf8'), before);
  });

  it('that were put there by hand are of generation 0, and change by the first bundle', async () => {
    await writeFile(path(), old.certificate);
    const roots = await TrustedRoots.open(path(), clock);
    assert.equal(roots.held.generation, 0);
    assert.equal((await roots.take(bundle(1, [old], old))).kind, 'newer');
  });

  it('say which file is missing', async () => {
    await assert.rejects(TrustedRoots.open(place.join('none.crt'), clock), {
      code: 'CERTIFICATE_INVALID',
      message: /none\.crt cannot be used: it cannot be read: there is no such file/,
    });
  });
});
