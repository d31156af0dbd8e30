import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import {
  askingAt,
  askingWhereItIs,
  CertificateRenewal,
} from '../../shared/certificate-keeper/certificate-renewal.ts';
import { issueRoot } from '../../shared/certificates/certificate-issuing.ts';
import { readPairFile } from '../../shared/certificates/pair-file.ts';
import type { CertifiedPeer } from '../../shared/domain/certificate-authority.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { EnrollmentPort } from './enrollment-port.ts';

describe('a machine that renews at the enrollment port (SEC-3, F21)', () => {
  const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
  const never = new AbortController().signal;

  /** A DP with its identity in a directory, and a port that it is told of. */
  async function enrolledDp(port: EnrollmentPort, directory: TemporaryDirectory) {
    const given = await port.enroll();
    const place = new IdentityPlace(directory.path, directory.join('agent.pem'));
    await place.writeCredentials(given);
    const credentials = (roots: readonly string[]) => ({
      ...{ identity, ca: Buffer.from(roots.join('\n')), key: Buffer.from(given.key) },
      certificate: Buffer.from(given.certificates.join('\n')),
    });
    return { place, credentials };
  }

  it('asks no site for the newest root alone that does not stand on it itself', async () => {
    await using directory = await TemporaryDirectory.create();
    await using port = await EnrollmentPort.open();
    const { place, credentials } = await enrolledDp(port, directory);
    const [old = ''] = port.site.authority.roots();
    const notBefore = new Date(Date.now() - 60_000);
    const next = await issueRoot({
      ...{ name: 'Waybill root', notBefore, notAfter: new Date(Date.now() + 86_400_000) },
    });
    const issuedCount = port.site.authority.issued.length;
    const renewing = (roots: readonly string[]) => {
      const held = credentials(roots);
      const ask = askingAt({ address: port.address, roots: () => held.ca });
      return new CertificateRenewal({ place, ask, clock: systemClock }).renew(held, never);
    };
    await assert.rejects(renewing([next.certificate, old]), {
      code: 'PEER_FAILED',
      message: /it still stands on the older root itself/,
    });
    assert.equal(port.site.authority.issued.length, issuedCount);
    await renewing([old, next.certificate]);
    assert.equal(port.site.authority.issued.length, issuedCount + 1);
  });

  it('asks nothing of a site that is revoked as far as it was told, and asks where it was told', async () => {
    await using directory = await TemporaryDirectory.create();
    await using port = await EnrollmentPort.open();
    const { place, credentials } = await enrolledDp(port, directory);
    const held = credentials(port.site.authority.roots());
    const issuedCount = port.site.authority.issued.length;
    const revoked: string[] = [];
    const revocationOf = ({ identity: { kind } }: CertifiedPeer) => {
      revoked.push(kind);
      return 'site PS1 was revoked';
    };
    const { address } = port;
    const ask = askingWhereItIs({ address, place, roots: () => held.ca, revocationOf });
    const renewal = new CertificateRenewal({ place, ask, clock: systemClock });
    const refused = { code: 'PEER_IDENTITY_MISMATCH', message: /does not count: site PS1 was rev/ };
    await assert.rejects(renewal.renew(held, never), refused);
    await place.keepRenewalAddress('127.0.0.1:1');
    await assert.rejects(renewal.renew(held, never), { code: 'PEER_UNREACHABLE' });
    assert.deepEqual(revoked, ['site', 'site']);
    assert.equal(port.site.authority.issued.length, issuedCount);
  });

  it('keeps where its site says that it is, and asks there when nobody is where it was', async () => {
    await using directory = await TemporaryDirectory.create();
    await using port = await EnrollmentPort.open();
    const { place, credentials } = await enrolledDp(port, directory);
    const { ca } = credentials(port.site.authority.roots());
    const renewing = async (address: string) => {
      const { key, certificates } = (await readPairFile(place.credentialFile)) ?? assert.fail();
      const certificate = Buffer.from(certificates.join('\n'));
      const held = { identity, ca, key: Buffer.from(key), certificate };
      const ask = askingWhereItIs({ address, place, roots: () => ca, deadlineMs: 5_000 });
      await new CertificateRenewal({ place, ask, clock: systemClock }).renew(held, never);
    };
    await renewing(port.address);
    assert.equal(await place.toldRenewalAddress(), 'ps1:8532');
    await place.keepRenewalAddress(port.address);
    await port.site.clock.advance(60_000);
    await renewing('127.0.0.1:1');
    // What the site says now is newer than what it said then.
    assert.equal(await place.toldRenewalAddress(), 'ps1:8532');
    await assert.rejects(renewing('127.0.0.1:1'), /cannot be reached/);
    // A hint that cannot be read is none: what is told is that the site is not there.
    await chmod(directory.join('renewal-address'), 0o644);
    await assert.rejects(renewing('127.0.0.1:1'), { code: 'PEER_UNREACHABLE' });
  });
});
