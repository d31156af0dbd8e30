import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { Administrator } from './administrator.ts';
import { damageStoredFile } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const imageBytes = 8 * 1024 * 1024;
const dpId = 'PS1DP1';

describe('an update of a large file', () => {
  let network: Network;
  let administrator: Administrator;
  let sourceCount = 0;

  before(async () => {
    network = await Network.start({ distributionPoints: [dpId] });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  async function install(): Promise<{ packageId: string; source: string; image: string }> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    const image = join(source, 'images/image.wim');
    await writeNoise(image, { bytes: imageBytes, seed });
    await writeFiles(source, { 'setup.exe': `setup ${seed}` });
    const packageId = await administrator.create(source);
    await administrator.install(packageId, dpId);
    return { packageId, source, image };
  }

  /** A few bytes in the middle become others, and some come in at the front. */
  async function edit(path: string): Promise<void> {
    const bytes = await readFile(path);
    bytes.write('these bytes are others', 5_000_000);
    await writeFile(path, Buffer.concat([Buffer.from('in front of all'), bytes]));
  }

  async function update(packageId: string): Promise<number> {
    await administrator.update(packageId);
    await administrator.installed({ packageId, dpId });
    return Number((await administrator.lastJob({ packageId, dpId })).bytesSent);
  }

  async function isEqual(packageId: string, source: string): Promise<void> {
    assert.equal(await treeDifference(source, await extractPackage(network, dpId, packageId)), '');
  }

  it('moves little more than what was edited, again and again (PKG-5)', async () => {
    const { packageId, source, image } = await install();
    for (let count = 0; count < 2; count++) {
      await edit(image);
      const bytesSent = await update(packageId);
      assert.ok(bytesSent > 0 && bytesSent < 64 * 1024, `${bytesSent} bytes`);
      await isEqual(packageId, source);
    }
  });

  it('brings what the delta does not, where the older file is damaged (PKG-5, SEC-4)', async () => {
    const { packageId, source, image } = await install();
    await damageStoredFile(network.dataDirectoryOf(dpId), hashOf(await readFile(image)));
    await edit(image);
    const bytesSent = await update(packageId);
    // The piece with the damaged byte, and the delta.
    assert.ok(bytesSent > 1024 * 1024 && bytesSent < 3 * 1024 * 1024, `${bytesSent} bytes`);
    await isEqual(packageId, source);
  });

  it('sends all of it when the file is another one (PKG-5)', async () => {
    const { packageId, source, image } = await install();
    await writeNoise(image, { bytes: imageBytes, seed: 1_000 });
    assert.equal(await update(packageId), imageBytes);
    await isEqual(packageId, source);
  });
});
