import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { chainOf, refusalOfCertificate } from '../rpc/certificate-trust.ts';
import {
  type IssuedCertificate,
  issueLeaf,
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from './certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from './certificate-requests.ts';

const dayMs = 24 * 3_600_000;
const validity = {
  notBefore: new Date(Date.now() - dayMs),
  notAfter: new Date(Date.now() + dayMs),
};
const dp = { kind: 'dp', dpId: 'PS1DP1' } as const;
const dpLeaf = { commonName: 'dp/PS1DP1', uris: ['waybill://dp/PS1DP1'], ...validity };

async function authorityOf(root: IssuedCertificate, siteCode: string): Promise<IssuedCertificate> {
  const key = await newPrivateKey();
  const publicKey = publicKeyInfoOf(key);
  return { certificate: await issueSiteAuthority(root, { siteCode, publicKey, ...validity }), key };
}

/** Whether a TLS client that knows only the root takes the server: what OpenSSL says of the chain. */
async function isTaken(root: string, leaf: IssuedCertificate, ...chain: string[]) {
  const cert = [leaf.certificate, ...chain].join('\n');
  const server = createServer({ cert, key: leaf.key, minVersion: 'TLSv1.3' });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', ca: root });
  try {
    await once(socket, 'secureConnect');
    return socket.authorized;
  } catch {
    return false;
  } finally {
    socket.destroy();
    server.close();
  }
}

describe('certificate issuing (SEC-1)', () => {
  it('makes a root, site authorities and leaves that stand behind one another', async () => {
    const root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const authority = await authorityOf(root, 'PS1');
    const leaf = await issueLeafWithKey(authority, dpLeaf);
    const pem = Buffer.from(`${leaf.certificate}\n${authority.certificate}\n`);
    const trust = { authorities: [new X509Certificate(root.certificate)], nowMs: Date.now() };
    assert.equal(refusalOfCertificate(chainOf(pem), { ...trust, identity: dp }), undefined);
    assert.equal(
      new X509Certificate(authority.certificate).subject,
      'CN=Waybill site authority PS1',
    );
    assert.equal(await isTaken(root.certificate, leaf, authority.certificate), true);
  });

  it('makes site authorities that can sign no further CA', async () => {
    const root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const authority = await authorityOf(root, 'PS1');
    const further = await authorityOf(authority, 'PS2');
    const leaf = await issueLeafWithKey(further, dpLeaf);
    const chain = [further.certificate, authority.certificate];
    assert.equal(await isTaken(root.certificate, leaf, ...chain), false);
  });

  it('makes leaves that vouch for nobody', async () => {
    const root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const authority = await authorityOf(root, 'PS1');
    const leaf = await issueLeafWithKey(authority, dpLeaf);
    const below = await issueLeafWithKey(leaf, dpLeaf);
    const chain = [leaf.certificate, authority.certificate];
    assert.equal(await isTaken(root.certificate, below, ...chain), false);
  });

  it('is told from another root of the same name by its key', async () => {
    const root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const other = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const authority = await authorityOf(other, 'PS1');
    const leaf = await issueLeafWithKey(authority, dpLeaf);
    assert.equal(await isTaken(root.certificate, leaf, authority.certificate), false);
    const both = `${root.certificate}\n${other.certificate}`;
    assert.equal(await isTaken(both, leaf, authority.certificate), true);
  });

  it('signs the key it was asked to, for as long as it was asked to', async () => {
    const root = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    const publicKey = publicKeyInfoOf(await newPrivateKey());
    const notAfter = new Date(Date.UTC(2055, 0, 1));
    const request = { ...dpLeaf, notBefore: new Date(Date.UTC(2049, 11, 31)), notAfter, publicKey };
    const leaf = new X509Certificate(await issueLeaf(root, request));
    assert.deepEqual(leaf.publicKey.export({ type: 'spki', format: 'der' }), publicKey);
    assert.equal(Date.parse(leaf.validTo), notAfter.getTime());
    assert.equal(leaf.ca, false);
    assert.match(leaf.serialNumber, /^[4-7][0-9A-F]{31}$/);
  });
});
