import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { type PinFacts, pinnedServerSite } from './server-site-pin.ts';

const server = 'ps1.example.com:8530';
const renewal = 'ps1.example.com:8532';
const older = `# Written by "waybill enroll"\nserver: ${server}\nrenewal: ${renewal}\n`;

describe('the site that a configuration names (SEC-2)', () => {
  let directory: TemporaryDirectory;
  let told: string[];
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    told = [];
    await writeFile(directory.join('config.yaml'), older, { mode: 0o640 });
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const pinned = (facts: Partial<PinFacts> = {}, config = {}) =>
    pinnedServerSite(
      { server, renewal, ...config },
      {
        ...{ file: directory.join('config.yaml'), issuerSiteCode: 'PS1', renewedAt: undefined },
        isShownBy: async () => true,
        tell: (line) => told.push(line),
        ...facts,
      },
    );
  const text = () => readFile(directory.join('config.yaml'), 'utf8');

  it('is told to be missing, with what to write, each time', async () => {
    for (const count of [1, 2]) {
      assert.equal(await pinned(), undefined);
      assert.equal(told.length, count);
      assert.match(told[0] ?? '', /names no site: any of the hierarchy.*"serverSite: PS1"/);
    }
    assert.equal(await text(), older);
  });

  it('is written in when the site has just renewed the certificate at that host', async () => {
    assert.equal(await pinned({ renewedAt: renewal }), 'PS1');
    assert.equal(await text(), `${older}serverSite: PS1\n`);
    assert.equal((await stat(directory.join('config.yaml'))).mode & 0o777, 0o640);
    assert.match(told.join(), /names site PS1 from now on/);
  });

  it('is not written in where another host renewed it, or no line can be added', async () => {
    assert.equal(await pinned({ renewedAt: 'elsewhere:8532' }), undefined);
    assert.equal(await text(), older);
    const flow = `{ server: "${server}", renewal: "${renewal}" }\n`;
    await writeFile(directory.join('config.yaml'), flow);
    assert.equal(await pinned({ renewedAt: renewal }), undefined);
    assert.equal(await text(), flow);
    assert.equal(told.length, 2);
  });

  it('is not written in where another site than that which renewed it answers at that host', async () => {
    const asked: string[] = [];
    const isShownBy = async (siteCode: string) => {
      asked.push(siteCode);
      return false;
    };
    const facts = { renewedAt: 'ps1.example.com:8632', isShownBy };
    assert.equal(await pinned(facts), undefined);
    assert.equal(await text(), older);
    assert.match(told.join(), /names no site/);
    assert.deepEqual(asked, ['PS1']);
  });

  it('is as it was named, and nothing is said of what was not written by an enrollment', async () => {
    assert.equal(await pinned({ renewedAt: renewal }, { serverSite: 'CS1' }), 'CS1');
    assert.equal(await pinned({ file: undefined }), undefined);
    assert.equal(await pinned({}, { renewal: undefined }), undefined);
    assert.equal(await pinned({ issuerSiteCode: '' }), undefined);
    assert.deepEqual([told, await text()], [[], older]);
  });
});
