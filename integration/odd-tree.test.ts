import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { Network } from './network.ts';
import { makeDeepPath, makeOddTree, removeDeepTree } from './odd-tree.ts';
import { extractPackage } from './programs.ts';
import { treeDifference } from './tree-difference.ts';

const pathBytes = 300 * 1024;

describe('a tree of everything that is odd and allowed', () => {
  let network: Network;
  let administrator: Administrator;

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'] });
    administrator = await Administrator.of(network);
  });

  after(async () => {
    const { directory } = network;
    await removeDeepTree(join(directory, 'deep'));
    await network.stop();
  });

  it('arrives equal in names, bytes, modes, links and times, as does its update (PKG-2, PKG-5)', async () => {
    const source = join(network.directory, 'odd');
    await makeOddTree(source);
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const first = await extractPackage(network, 'PS1DP1', packageId);
    assert.equal(await treeDifference(source, first), '');
    await writeFile(join(source, 'directories', 'new\nline', 'more'), '');
    await administrator.update(packageId);
    await administrator.installed({ packageId, dpId: 'PS1DP1' });
    const second = await extractPackage(network, 'PS1DP1', packageId);
    assert.equal(await treeDifference(source, second), '');
    assert.notEqual(await treeDifference(source, first), '');
  });

  it(`arrives equal with a path of ${pathBytes} bytes`, async () => {
    // All deep trees stand where `rm` takes them away: Node does not.
    const source = join(network.directory, 'deep', 'source');
    await makeOddTree(source);
    await makeDeepPath(source, pathBytes);
    const packageId = await administrator.create(source);
    await administrator.install(packageId, 'PS1DP1');
    const out = await extractPackage(network, 'PS1DP1', packageId, join('deep', 'extracted'));
    assert.equal(await treeDifference(source, out), '');
  });
});
