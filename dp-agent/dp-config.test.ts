import assert from 'node:assert/strict';
import { assertConfigPage } from '../shared/testing/config-page.ts';
import { dpConfigSchema, libraryDirectoryOf } from './dp-config.ts';

const minimal = {
  dpId: 'PS1DP1',
  siteCode: 'PS1',
  dataDirectory: '/var/lib/waybill-dp',
  certificates: { caFile: 'ca.pem', certificateFile: 'dp.pem', keyFile: 'dp.key' },
};

describe('DP configuration', () => {
  it('is described key by key in docs/configuration.md', async () => {
    await assertConfigPage('waybill-dp', dpConfigSchema);
  });

  it('needs a name, a site, a directory and certificates', () => {
    const config = dpConfigSchema.parse(minimal);
    assert.equal(config.listen, '0.0.0.0:8531');
    assert.equal(libraryDirectoryOf(config), '/var/lib/waybill-dp/content-library');
    const apart = dpConfigSchema.parse({ ...minimal, contentLibraryDirectory: '/content' });
    assert.equal(libraryDirectoryOf(apart), '/content');
    for (const key of Object.keys(minimal)) {
      assert.equal(dpConfigSchema.safeParse({ ...minimal, [key]: undefined }).success, false, key);
    }
  });

  it('takes addresses an agent can listen on, any port with 0', () => {
    for (const listen of ['0.0.0.0:8531', '[::]:8531', 'localhost:0']) {
      assert.equal(dpConfigSchema.parse({ ...minimal, listen }).listen, listen);
    }
  });

  it('tells metrics to nobody unless it is said where', () => {
    assert.deepEqual(dpConfigSchema.parse(minimal).metrics, {});
    const parse = (listen: string) => dpConfigSchema.safeParse({ ...minimal, metrics: { listen } });
    for (const listen of ['127.0.0.1:9464', '[::1]:0']) assert.ok(parse(listen).success, listen);
    for (const listen of ['9464', 'localhost', 'localhost:65536', '::1:9464', '/run/socket']) {
      assert.match(String(parse(listen).error?.message), /host:port/, listen);
    }
  });

  const refused: [key: string, value: unknown][] = [
    ['dpId', ''],
    ['dpId', 'a/b'],
    ['siteCode', 'PS'],
    ['siteCode', 'ps1'],
    ['listen', '8531'],
    ['listen', 'localhost:65536'],
    ['managementPointAddress', 'ps1.example'],
    ['dataDirectory', ''],
    ['reserveBytes', -1],
    ['reserveBytes', 1.5],
    ['stagedFilesMax', 0],
    ['stagedBytesMax', 1_048_575],
    ['unfinishedGraceMs', -1],
    ['sweepIntervalMs', 999],
    ['logLevel', 'loud'],
    ['dpID', 'PS1DP1'],
  ];
  for (const [key, value] of refused) {
    it(`refuses ${key}: ${JSON.stringify(value)}, and names the key`, () => {
      const result = dpConfigSchema.safeParse({ ...minimal, [key]: value });
      const [issue] = result.error?.issues ?? [];
      const named = issue?.code === 'unrecognized_keys' ? issue.keys : issue?.path;
      assert.deepEqual(named, [key]);
    });
  }
});
