import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import {
  type IssuedCertificate,
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../certificates/certificate-requests.ts';
import { writePairFile } from '../certificates/pair-file.ts';
import { writeSecretFile } from '../certificates/secret-files.ts';
import { LiveCredentials } from '../rpc/live-credentials.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { ownCredentialsAtStart, ownIdentity } from './own-identity.ts';

const dayMs = 24 * 3_600_000;
const nowMs = Date.UTC(2026, 0, 1);
const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
const long = { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + 700 * dayMs) };
const wayBack = 'call "waybill dp enroll PS1DP1"';

describe('the identity of an agent whose root was retired (SEC-3, F21)', () => {
  let place: TemporaryDirectory;
  let root: IssuedCertificate;
  const agentFile = () => place.join('agent.pem');
  const files = () => ({
    ...{ caFile: place.join('roots.crt'), certificateFile: agentFile(), keyFile: agentFile() },
  });
  const atStart = (more: { renewalAddress?: string } = {}, atMs = nowMs) =>
    ownCredentialsAtStart({ ...files(), ...more }, { identity, nowMs: atMs, wayBack });
  const port = { renewalAddress: 'ps1:8532' };

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    root = await issueRoot({ name: 'Waybill root', ...long });
    const key = await newPrivateKey();
    const facts = { siteCode: 'PS1', publicKey: publicKeyInfoOf(key), ...long };
    const authority = { certificate: await issueSiteAuthority(root, facts), key };
    await write(await leafBy(authority), authority);
    await trust(root);
  });
  afterEach(() => place[Symbol.asyncDispose]());

  const leafBy = (issuer: IssuedCertificate) =>
    issueLeafWithKey(issuer, {
      ...{ commonName: 'dp/PS1DP1', uris: ['waybill://dp/PS1DP1'] },
      ...{ notBefore: long.notBefore, notAfter: new Date(nowMs + 90 * dayMs) },
    });
  const write = ({ key, certificate }: IssuedCertificate, issuer?: IssuedCertificate) =>
    writePairFile(agentFile(), {
      key,
      certificates: [certificate, ...(issuer ? [issuer.certificate] : [])],
    });
  const trust = (...roots: IssuedCertificate[]) =>
    writeSecretFile(files().caFile, roots.map(({ certificate }) => certificate).join('\n'));
  async function retire(): Promise<IssuedCertificate> {
    const next = await issueRoot({ name: 'Waybill root', ...long });
    await trust(next);
    return next;
  }

  it('is taken at the start when its key can bring it back', async () => {
    await retire();
    assert.deepEqual((await atStart(port)).identity, identity);
    await atStart(port, nowMs + 119 * dayMs);
  });

  it('else ends the start with a sentence that says what brings it back', async () => {
    const refused = {
      code: 'CERTIFICATE_INVALID',
      message: /not signed by the CA .*; call "waybill dp enroll PS1DP1"$/,
    };
    await retire();
    await assert.rejects(atStart(), refused, 'nobody has said where');
    await assert.rejects(atStart(port, nowMs + 121 * dayMs), refused, 'too late');
    await write(await leafBy(root));
    await assert.rejects(atStart(port), refused, 'no authority of a site has issued it');
    const pair = await readFile(agentFile(), 'utf8');
    await writeSecretFile(place.join('other.key'), pair);
    const separate = { ...files(), keyFile: place.join('other.key'), ...port };
    await assert.rejects(
      ownCredentialsAtStart(separate, { identity, nowMs, wayBack }),
      /not signed by the CA [^;]*$/,
      'somebody else puts it there',
    );
  });

  it('while it runs it trusts the new root alone, and says that its own counts no more', async () => {
    const credentials = new LiveCredentials(await atStart());
    const subject = ownIdentity(credentials, files(), undefined);
    const next = await retire();
    const kept = await subject.look();
    assert.equal(kept.isOfRetiredRoot, true);
    assert.equal(credentials.ca.toString().trim(), next.certificate.trim());
    // Another certificate that no root stands behind is none of ours.
    const stranger = await issueRoot({ name: 'Waybill root', ...long });
    await write(await leafBy(stranger));
    await assert.rejects(subject.look(), { code: 'CERTIFICATE_INVALID' });
  });
});
