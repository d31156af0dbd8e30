import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { issueRoot } from '../certificates/certificate-issuing.ts';
import { pinnedRoot } from './pinned-root.ts';

const dayMs = 24 * 3_600_000;

async function root(name: string): Promise<X509Certificate> {
  const validity = { notBefore: new Date(), notAfter: new Date(Date.now() + dayMs) };
  return new X509Certificate((await issueRoot({ name, ...validity })).certificate);
}

function hashOf(certificate: X509Certificate): Buffer {
  const publicKey = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(publicKey).digest();
}

describe('the root that a token names (SEC-2)', () => {
  it('is found by its key among those that a server shows', async () => {
    const [one, other] = [await root('one'), await root('other')];
    assert.equal(pinnedRoot([other, one], hashOf(one), 'ps1:8532'), one);
  });

  it('where the root has changed since, says that a new token is needed and this one was not used', async () => {
    const [before, now] = [await root('before'), await root('now')];
    assert.throws(() => pinnedRoot([now], hashOf(before), 'ps1:8532'), {
      code: 'ENROLLMENT_ROOT_MISMATCH',
      message:
        /another one, "now"\. .*changed its root since: have a new token made, this one is not used up\. Nothing was sent/,
    });
  });

  it('where none is shown, says what may be in the way', () => {
    assert.throws(() => pinnedRoot([], Buffer.alloc(32), 'ps1:8532'), /it shows no certificate/);
  });
});
