import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import {
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {
  type IssuedCertificate,
  issueRoot,
  issueSiteAuthority,
} from '../../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../../shared/certificates/certificate-requests.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { SiteAuthorityRows } from './site-authority-rows.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 5, 1);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const notAfter = new Date(nowMs + 700 * dayMs);

describe('rows of "site authorities" from other sites', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let root: IssuedCertificate;
  let rows: SiteAuthorityRows;
  let offered: string[];
  let audited: AuditEvent[];

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    root = await issueRoot({ name: 'root', notBefore: new Date(nowMs - 900 * dayMs), notAfter });
    await restart();
  });
  afterEach(async () => {
    await rows.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(): Promise<void> {
    await rows?.stop();
    const trustedRoots = { held: { generation: 1, roots: [root.certificate] } };
    [offered, audited] = [[], []];
    rows = new SiteAuthorityRows({
      ...{ store, trustedRoots, clock: new FakeClock(nowMs), offeredRoots: () => offered },
      onAudit: (event) => audited.push(event),
    });
    await rows.start();
  }

  async function rowOf(siteCode: string, beginsMs: number, issuer = root) {
    const publicKey = publicKeyInfoOf(await newPrivateKey());
    const facts = { siteCode, publicKey, notBefore: new Date(beginsMs), notAfter };
    return { siteCode, certificate: await issueSiteAuthority(issuer, facts) };
  }

  const hold = async (row: { siteCode: string; certificate: string }) =>
    store.write([store.records(keySpaces.siteAuthorities).put('PS1', row)], { sync: true });

  it('are refused when they hold no authority of that site', async () => {
    const own = await rowOf('PS1', nowMs - dayMs);
    assert.equal(rows.checkRow('PS1', own), undefined);
    for (const certificate of [(await rowOf('PS2', nowMs)).certificate, 'junk', root.certificate]) {
      assert.match(rows.checkRow('PS1', { siteCode: 'PS1', certificate }) ?? '', /of site PS1$/);
    }
  });

  it('are refused when the authority may make further ones, sign nothing, or ends before it begins', async () => {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = async (extensions: Extension[], notBefore = new Date(nowMs - dayMs)) => {
      const made = await X509CertificateGenerator.createSelfSigned({
        ...{ name: [{ CN: ['Waybill site authority PS1'] }], notBefore, notAfter, keys },
        ...{ signingAlgorithm: algorithm, extensions },
      });
      return made.toString('pem');
    };
    const ca = (pathLength?: number) => new BasicConstraintsExtension(true, pathLength, true);
    const signs = new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true);
    const cases: [string, RegExp][] = [
      [await certificate([ca(1), signs]), /further authorities/],
      [await certificate([ca(), signs]), /further authorities/],
      [await certificate([ca(0)]), /does not let the authority sign/],
      [
        await certificate([ca(0), new KeyUsagesExtension(KeyUsageFlags.cRLSign, true)]),
        /no certificate of the authority/,
      ],
      [await certificate([ca(0), signs], new Date(notAfter.getTime() + 1_000)), /ends before/],
    ];
    for (const [pem, reason] of cases) {
      assert.match(rows.checkRow('PS1', { siteCode: 'PS1', certificate: pem }) ?? '', reason);
    }
  });

  it('are passed over, and audited, when no root has signed them that is trusted or offered', async () => {
    const own = await rowOf('PS1', nowMs - 9 * dayMs);
    await hold(own);
    const next = await issueRoot({
      name: 'next',
      notBefore: new Date(nowMs - 9 * dayMs),
      notAfter,
    });
    const row = await rowOf('PS1', nowMs - dayMs, next);
    assert.equal(rows.checkRow('PS1', row), undefined);
    assert.equal(rows.isRollback('PS1', row), true);
    assert.match(audited.at(-1)?.detail ?? '', /authority of PS1: passed over; no root/);
    offered.push(next.certificate);
    assert.equal(rows.isRollback('PS1', row), false);
    assert.equal(audited.length, 1);
  });

  it('are passed over when they outlive the root that signed them', async () => {
    const short = await issueRoot({
      ...{ name: 'short', notBefore: new Date(nowMs - 9 * dayMs) },
      notAfter: new Date(nowMs + dayMs),
    });
    offered.push(short.certificate);
    assert.equal(rows.isRollback('PS1', await rowOf('PS1', nowMs - dayMs, short)), true);
  });

  it('say which key the authority of a site has, by a root that is trusted', async () => {
    const own = await rowOf('PS1', nowMs - dayMs);
    await hold(own);
    await store.settled();
    const of = ({ certificate }: { certificate: string }) => new X509Certificate(certificate);
    assert.equal(rows.authorityOf('PS1')?.fingerprint256, of(own).fingerprint256);
    assert.equal(rows.authorityOf('PS2'), undefined);
  });

  it('are passed over when what is here counts and began later, also after a restart', async () => {
    const [older, newer] = [
      await rowOf('PS1', nowMs - 9 * dayMs),
      await rowOf('PS1', nowMs - dayMs),
    ];
    assert.equal(rows.isRollback('PS1', older), false);
    await hold(newer);
    for (const what of ['written', 'read']) {
      assert.equal(rows.isRollback('PS1', older), true, what);
      assert.equal(rows.isRollback('PS1', newer), false, what);
      assert.equal(rows.isRollback('PS1', undefined), true, what);
      await restart();
    }
  });

  it('follow what counts for nothing, whenever that began', async () => {
    const own = await rowOf('PS1', nowMs - dayMs);
    const foreign = await issueRoot({ name: 'foreign', notBefore: new Date(0), notAfter });
    for (const before of [await rowOf('PS1', nowMs, foreign), await rowOf('PS1', nowMs + dayMs)]) {
      await hold(before);
      assert.equal(rows.isRollback('PS1', own), false);
    }
  });
});
