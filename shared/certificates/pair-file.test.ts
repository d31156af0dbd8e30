import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { readPeerCredentials } from '../rpc/peer-credentials.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { issueLeafWithKey, issueRoot, issueSiteAuthority } from './certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from './certificate-requests.ts';
import { type PairFile, readPairFile, writePairFile } from './pair-file.ts';
import { writeRootsFile } from './trusted-roots.ts';

const dayMs = 24 * 3_600_000;
const validity = {
  notBefore: new Date(Date.now() - dayMs),
  notAfter: new Date(Date.now() + dayMs),
};

describe('files with a key and its certificates', () => {
  let place: TemporaryDirectory;
  let pair: PairFile;
  let root: string;
  const path = () => place.join('agent.pem');

  before(async () => {
    const made = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    root = made.certificate;
    const key = await newPrivateKey();
    const request = { siteCode: 'CS1', publicKey: publicKeyInfoOf(key), ...validity };
    const certificate = await issueSiteAuthority(made, request);
    const leaf = await issueLeafWithKey(
      { certificate, key },
      { commonName: 'dp/CS1DP1', uris: ['waybill://dp/CS1DP1'], ...validity },
    );
    pair = { key: leaf.key, certificates: [leaf.certificate, certificate] };
  });
  beforeEach(async () => {
    place = await TemporaryDirectory.create();
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('are read as they were written', async () => {
    await writePairFile(path(), pair);
    const read = await readPairFile(path());
    const trimmed = (one: PairFile) => [one.key, ...one.certificates].map((pem) => pem.trim());
    assert.deepEqual(read && trimmed(read), trimmed(pair));
    assert.equal(await readPairFile(place.join('none')), undefined);
  });

  it('are credentials by themselves, with the roots beside them; the key is not shown with the certificates', async () => {
    await writePairFile(path(), pair);
    await writeRootsFile(place.join('roots.crt'), { generation: 1, roots: [root] });
    const { certificate, key, identity } = await readPeerCredentials({
      caFile: place.join('roots.crt'),
      certificateFile: path(),
      keyFile: path(),
    });
    assert.deepEqual(identity, { kind: 'dp', dpId: 'CS1DP1' });
    assert.equal(certificate.toString().match(/BEGIN CERTIFICATE/g)?.length, 2);
    assert.doesNotMatch(certificate.toString(), /PRIVATE/);
    assert.match(key.toString(), /BEGIN PRIVATE KEY/);
  });

  it('are refused when they do not hold both, or others may read them', async () => {
    for (const text of [pair.key, pair.certificates.join('\n'), '', 'hello']) {
      await writeFile(path(), text, { mode: 0o600 });
      await assert.rejects(readPairFile(path()), /does not hold a private key and its certificate/);
    }
    await writePairFile(path(), pair);
    await chmod(path(), 0o644);
    await assert.rejects(readPairFile(path()), /mode 0644/);
  });
});
