import assert from 'node:assert/strict';
import { siteConfigSchema } from './site-config.ts';
import { ownPlacesOf } from './site-places.ts';

describe("a site server's own places", () => {
  it('are its directories, and each file that it keeps elsewhere', () => {
    const config = siteConfigSchema.parse({
      ...{ siteCode: 'PS1', dataDirectory: '/var/lib/waybill-site' },
      contentLibraryDirectory: '/srv/library',
      certificates: {
        ...{ caFile: '/etc/waybill/roots.crt', certificateFile: '/etc/waybill/own.crt' },
        keyFile: '/etc/keys/own.key',
      },
      authority: { rootPassphraseFile: '/etc/waybill/passphrase' },
    });
    const logDirectory = '/var/lib/waybill-site/logs';
    const places = ownPlacesOf({ ...config, logDirectory, configFile: '/etc/waybill/site.yaml' });
    assert.deepEqual(places.toSorted(), [
      ...['/etc/keys/own.key', '/etc/waybill/own.crt', '/etc/waybill/passphrase'],
      ...['/etc/waybill/roots.crt', '/etc/waybill/site.yaml', '/srv/library'],
      ...['/var/lib/waybill-site', '/var/lib/waybill-site/authority'],
      ...['/var/lib/waybill-site/identity', logDirectory, '/var/lib/waybill-site/signing-keys'],
    ]);
  });
});
