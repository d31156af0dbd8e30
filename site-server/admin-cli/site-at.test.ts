import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { issueLeafWithKey, issueRoot } from '../../shared/certificates/certificate-issuing.ts';
import { isSiteAt } from './connection.ts';

const hourMs = 3_600_000;
const validity = {
  notBefore: new Date(Date.now() - hourMs),
  notAfter: new Date(Date.now() + hourMs),
};

describe('which site is at an address (SEC-2)', () => {
  it('is told by the certificate it shows, and by nothing else', async () => {
    const root = await issueRoot({ name: 'Test CA', ...validity });
    const leaf = (commonName: string, uri: string) =>
      issueLeafWithKey(root, { ...{ commonName, uris: [uri] }, ...validity });
    const site = await leaf('CS1', 'waybill://site/CS1');
    const own = await leaf('alice', 'waybill://admin/full/alice');
    const server = createSecureServer({
      ...{ cert: site.certificate, key: site.key, ca: root.certificate },
      ...{ requestCert: true, minVersion: 'TLSv1.3' },
    });
    server.on('sessionError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const credentials = {
      ...{ ca: Buffer.from(root.certificate), certificate: Buffer.from(own.certificate) },
      ...{ key: Buffer.from(own.key) },
      identity: { kind: 'admin', role: 'full', name: 'alice' } as const,
    };
    const { signal } = new AbortController();
    const isAt = (siteCode: string, connectDeadlineMs: number) =>
      isSiteAt({ address, siteCode, connectDeadlineMs }, credentials, signal);
    try {
      assert.deepEqual([await isAt('CS1', 20_000), await isAt('PS1', 200)], [true, false]);
    } finally {
      server.close();
    }
    assert.equal(await isAt('CS1', 200), false);
  });
});
