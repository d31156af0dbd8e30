import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { TemporaryDirectory } from '../shared/testing/temporary-directory.ts';
import { issueDevelopmentHierarchy } from './development-hierarchy.ts';

const identities: PeerIdentity[] = [
  { kind: 'site', siteCode: 'PS1' },
  { kind: 'dp', dpId: 'PS1DP1' },
  { kind: 'dp', dpId: 'PS1DP2' },
  { kind: 'admin', role: 'operator', name: 'alice' },
];

/** A directory's files with a hash of each. */
async function contentOf(directory: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const name of (await readdir(directory)).sort()) {
    const bytes = await readFile(join(directory, name));
    content[name] = createHash('sha256').update(bytes).digest('hex');
  }
  return content;
}

describe('development hierarchy', () => {
  it('gives everybody credentials that Waybill takes', async () => {
    await using directory = await TemporaryDirectory.create();
    const issued = await issueDevelopmentHierarchy({ directory: directory.path, identities });
    for (const [index, files] of issued.entries()) {
      const { identity } = await readPeerCredentials(files);
      assert.deepEqual(identity, identities[index]);
      assert.equal(files.isNew, true);
    }
  });

  it('keeps keys to their owner', async () => {
    await using directory = await TemporaryDirectory.create();
    await issueDevelopmentHierarchy({ directory: directory.path, identities });
    for (const name of await readdir(directory.path)) {
      const mode = (await stat(directory.join(name))).mode & 0o777;
      assert.equal(mode, name.endsWith('.key') ? 0o600 : 0o644, name);
    }
  });

  it('makes P-256 certificates of one CA that signs no further CA', async () => {
    await using directory = await TemporaryDirectory.create();
    const [site] = await issueDevelopmentHierarchy({ directory: directory.path, identities });
    const ca = new X509Certificate(await readFile(site!.caFile));
    const leaf = new X509Certificate(await readFile(site!.certificateFile));
    assert.deepEqual({ ca: ca.ca, leaf: leaf.ca }, { ca: true, leaf: false });
    assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    assert.equal(
      leaf.subjectAltName,
      'URI:waybill://site/PS1, DNS:localhost, IP Address:127.0.0.1',
    );
    // Extended key usages: TLS server and TLS client.
    assert.deepEqual([...(leaf.keyUsage ?? [])].sort(), ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  it('run again adds what is missing and changes nothing else', async () => {
    await using directory = await TemporaryDirectory.create();
    const some = { directory: directory.path, identities: identities.slice(0, 2) };
    await issueDevelopmentHierarchy(some);
    const before = await contentOf(directory.path);
    const issued = await issueDevelopmentHierarchy({ directory: directory.path, identities });
    assert.deepEqual(
      issued.map(({ isNew }) => isNew),
      [false, false, true, true],
    );
    const after = await contentOf(directory.path);
    assert.deepEqual({ ...after, ...before }, after);
    assert.equal(Object.keys(after).length, Object.keys(before).length + 4);
    for (const files of issued) await readPeerCredentials(files);
  });

  it('goes on where a crash left a key without its certificate', async () => {
    await using directory = await TemporaryDirectory.create();
    const request = { directory: directory.path, identities: identities.slice(0, 1) };
    const [first] = await issueDevelopmentHierarchy(request);
    await rm(first!.certificateFile);
    const [again] = await issueDevelopmentHierarchy(request);
    await readPeerCredentials(again!);
  });

  it('refuses a certificate whose key is gone', async () => {
    await using directory = await TemporaryDirectory.create();
    const request = { directory: directory.path, identities: identities.slice(0, 1) };
    await issueDevelopmentHierarchy(request);
    await rm(directory.join('ca.key'));
    await assert.rejects(issueDevelopmentHierarchy(request), {
      code: 'CERTIFICATE_INVALID',
      message: /ca\.key is missing; put it back, or remove the certificate$/,
    });
  });

  it('refuses to pass off a certificate for another role', async () => {
    await using directory = await TemporaryDirectory.create();
    await issueDevelopmentHierarchy({ directory: directory.path, identities });
    const full: PeerIdentity = { kind: 'admin', role: 'full', name: 'alice' };
    await assert.rejects(
      issueDevelopmentHierarchy({ directory: directory.path, identities: [full] }),
      {
        code: 'CERTIFICATE_INVALID',
        message: /there already, for waybill:\/\/admin\/operator\/alice/,
      },
    );
  });
});
