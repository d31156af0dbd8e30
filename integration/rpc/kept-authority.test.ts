import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import type { RevocationOf } from '../../shared/certificate-keeper/refused-voucher.ts';
import { makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { type Clock, systemClock } from '../../shared/runtime/clock.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { writeAuthority } from '../../site-server/certificate-authority/authority-files.ts';
import { keptAuthority } from '../../site-server/certificate-authority/kept-authority.ts';
import { EnrollmentPort } from './enrollment-port.ts';
import { newSiteAuthority, type TestCa } from './site-authorities.ts';

const hourMs = 3_600_000;

/** Site SS1, whose authority has a day or less, and the enrollment port of the site above it. */
class SiteBelow implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly port: EnrollmentPort;
  readonly place: IdentityPlace;
  readonly replacements: string[] = [];
  clock: Pick<Clock, 'nowMs' | 'sleep'> = systemClock;
  /** What it shows. */
  held: TestCa;

  private constructor(directory: TemporaryDirectory, port: EnrollmentPort, held: TestCa) {
    this.directory = directory;
    this.port = port;
    this.place = new IdentityPlace(directory.path, directory.join('agent.pem'));
    this.held = held;
  }

  /** @param notBeforeMs of its authority, which counts for a day from then on */
  static async create(notBeforeMs = Date.now() - 20 * hourMs): Promise<SiteBelow> {
    const port = await EnrollmentPort.open();
    const settings = { description: '', address: 'ss1:8530', parentSiteCode: 'PS1' };
    port.site.sites.set('SS1', { siteCode: 'SS1', kind: 'secondary', ...settings });
    const held = await newSiteAuthority(port.site.authority.root, 'SS1', { notBeforeMs });
    const below = new SiteBelow(await TemporaryDirectory.create(), port, held);
    await makeSecretDirectory(below.directory.join('authority'));
    await writeAuthority(below.directory.join('authority'), held);
    return below;
  }

  /** What the site above had signed for the same key at some time. */
  earlier(notBeforeMs: number): Promise<TestCa> {
    const { key } = this.held;
    return newSiteAuthority(this.port.site.authority.root, 'SS1', { notBeforeMs, key });
  }

  /** From now on the site above gives this. */
  give({ certificate }: TestCa): void {
    this.port.site.authority.issueSiteAuthority = async () => certificate;
  }

  /** As its keeper does when it is due. @param renewalAddress as its configuration says */
  async renew(revocationOf: RevocationOf = () => undefined, renewalAddress = this.port.address) {
    const roots = this.port.site.authority.roots();
    const authority = {
      ...{ isTop: false, siteCode: 'SS1', roots: () => roots },
      authorityCertificate: () => this.held.certificate,
      replaceCertificate: async (certificate: string) => {
        this.replacements.push(certificate);
      },
    };
    const credentials = { ca: Buffer.from(roots.join('\n')) };
    const { logger } = new CapturedLog();
    const { renewal } = keptAuthority(
      { authority, credentials, clock: this.clock, revocationOf, logger },
      {
        dataDirectory: this.directory.path,
        certificates: {
          ...{ caFile: '', renewalAddress },
          ...{ certificateFile: this.place.credentialFile, keyFile: this.place.credentialFile },
        },
      },
    );
    await renewal?.renew(new AbortController().signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.port[Symbol.asyncDispose]();
    await this.directory[Symbol.asyncDispose]();
  }
}

describe('the authority of a site that the rows have not reached (SEC-3)', () => {
  it('is renewed for the same key by its old key, and says where it was', async () => {
    await using below = await SiteBelow.create();
    await below.renew();
    const [next = ''] = below.replacements;
    const [given = ''] = below.port.site.authority.issued.slice(-1);
    assert.equal(next.trim(), given.trim());
    assert.equal(await below.place.toldRenewalAddress(), 'ps1:8532');
  });

  it('is asked for at no site that is revoked, but where a sound one said that it is', async () => {
    await using below = await SiteBelow.create();
    const issuedCount = below.port.site.authority.issued.length;
    const revoked = () => 'site PS1 was revoked';
    const refused = { code: 'PEER_IDENTITY_MISMATCH', message: /site PS1 was revoked/ };
    await assert.rejects(below.renew(revoked), refused);
    assert.equal(below.port.site.authority.issued.length, issuedCount);
    // Nobody is there; that it was asked for there is all that matters here.
    await below.place.keepRenewalAddress('127.0.0.1:1');
    await assert.rejects(below.renew(revoked), { code: 'PEER_UNREACHABLE' });
  });

  it('is not replaced by an earlier one while it counts, nor is it believed where to ask then', async () => {
    await using below = await SiteBelow.create();
    below.give(await below.earlier(Date.now() - 21 * hourMs));
    const refused = { code: 'PEER_FAILED', message: /it is no later than the one/ };
    await assert.rejects(below.renew(), refused);
    assert.equal(below.replacements.length, 0);
    await assert.rejects(stat(below.directory.join('renewal-address')), { code: 'ENOENT' });
    const later = await below.earlier(Date.now() - 19 * hourMs);
    below.give(later);
    // Until then the site above repeats what it gave.
    await below.port.site.clock.advance(60_000);
    await below.renew();
    assert.equal(below.replacements.join().trim(), later.certificate.trim());
  });

  it('is not replaced by one that waited for its beginning, when a row brought a later one meanwhile', async () => {
    await using below = await SiteBelow.create();
    below.give(await below.earlier(Date.now() + 60_000));
    const byRow = await below.earlier(Date.now() + 120_000);
    let passedMs = 0;
    const sleep = async () => {
      // Both count by then.
      passedMs = 180_000;
      below.held = byRow;
    };
    below.clock = { nowMs: () => Date.now() + passedMs, sleep };
    await assert.rejects(below.renew(), { code: 'PEER_FAILED', message: /it is no later/ });
    assert.deepEqual(below.replacements, []);
  });

  it('is replaced by whichever counts when it counts no more itself', async () => {
    await using below = await SiteBelow.create(Date.now() - 25 * hourMs);
    await below.renew();
    assert.equal(below.replacements.length, 1);
  });
});
