import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork } from './hierarchy-network.ts';
import { damageStoredFile, referencedHashes, storedFilePath } from './library-files.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeSmallFiles } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const dpIds = ['PS1DP1', 'PS2DP1'] as const;

interface Found {
  readonly dpId: string;
  readonly siteCode: string;
  readonly damagedFiles: number;
  readonly missingFiles: number;
}

describe('validation across sites (PKG-8, ADM-1)', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let source: string;
  let packageId: string;

  before(async () => {
    network = await HierarchyNetwork.start({
      sites: [
        { siteCode: 'CS1', kind: 'central-administration' },
        { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
        { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
      ],
    });
    central = await network.administrator('CS1');
    source = join(network.directory, 'source');
    await writeSmallFiles(source, { count: 20, bytes: 3_000, seed: 5 });
    packageId = await (await network.administrator('PS1')).create(source);
    await central.knows(packageId);
    await central.distribute(packageId, ...dpIds);
    for (const dpId of dpIds) await central.installed({ packageId, dpId });
  });

  after(() => network?.stop());

  async function atTop(...words: string[]) {
    return runWaybill({ cliOptions: network.cliOptionsOf('CS1') }, words);
  }

  it('is asked for at the top, and one report there lists what each DP lacks', async () => {
    const [first = '', second = ''] = await referencedHashes(network.dataDirectoryOf('PS1DP1'));
    await damageStoredFile(network.dataDirectoryOf('PS1DP1'), first);
    await rm(storedFilePath(network.dataDirectoryOf('PS2DP1'), second));
    const words = ['package', 'validate', packageId, '--all', '--no-repair', '--wait'];
    const validated = await atTop(...words);
    assert.equal(validated.exitCode, 1, validated.stdout);
    assert.match(validated.stderr, /not whole on PS1DP1 .*PS2DP1|not whole on PS2DP1 .*PS1DP1/);
    const { stdout } = await atTop('package', 'report', '--damaged', '--json');
    const found = (JSON.parse(stdout) as Found[]).sort((a, b) => (a.dpId < b.dpId ? -1 : 1));
    assert.deepEqual(
      found.map(({ dpId, siteCode, damagedFiles, missingFiles }) => {
        return [siteCode, dpId, damagedFiles, missingFiles];
      }),
      [
        ['PS1', 'PS1DP1', 1, 0],
        ['PS2', 'PS2DP1', 0, 1],
      ],
    );
    const text = (await atTop('package', 'report', '--damaged')).stdout;
    assert.match(text, /\.bin/, 'files are named');
  });

  it('compares two DPs of different sites, each as it is now', async () => {
    const { stdout, exitCode } = await atTop('dp', 'compare', ...dpIds);
    assert.equal(exitCode, 0);
    assert.equal(stdout.match(/lacks 1 file\b/g)?.length, 2, 'one damaged, one gone');
  });

  it('is mended from the top by one command', async () => {
    const retried = await atTop('retry');
    assert.equal(retried.exitCode, 0);
    for (const dpId of dpIds) {
      // The wish is on its way: until it is there the row still says what it was.
      await central.statusIs({ packageId, dpId }, ({ state }) => {
        return state === 'PACKAGE_STATUS_STATE_INSTALLED';
      });
      const out = await extractPackage(network, dpId, packageId);
      assert.equal(await treeDifference(source, out), '');
    }
    // Its rows come one after another, and nobody has validated it since.
    const reported = async () => (await atTop('package', 'report', '--damaged')).stdout;
    while (!(await reported()).includes('All that was validated is whole'));
    const again = await atTop('package', 'validate', packageId, '--all', '--wait');
    assert.equal(again.exitCode, 0, again.stderr);
    const { stdout } = await atTop('package', 'report', '--damaged');
    assert.match(stdout, /All that was validated is whole/);
    assert.match((await atTop('dp', 'compare', ...dpIds)).stdout, /hold the same: 1 package\./);
  });

  describe('of the copy of a site that does not publish the package', () => {
    const validate = (...more: string[]) =>
      atTop('package', 'validate', packageId, '--site-copy', 'PS2', '--wait', ...more);

    async function damageCopy(): Promise<void> {
      const [first = '', second = ''] = await referencedHashes(network.dataDirectoryOf('PS2'));
      await damageStoredFile(network.dataDirectoryOf('PS2'), first);
      await rm(storedFilePath(network.dataDirectoryOf('PS2'), second));
    }

    async function isWhole(): Promise<void> {
      const validated = await validate('--no-repair');
      assert.equal(validated.exitCode, 0, validated.stderr);
      assert.match(validated.stdout, /all is whole/);
    }

    it('asks for the package again by itself, and is whole (PKG-8)', async () => {
      await damageCopy();
      const validated = await validate();
      assert.equal(validated.exitCode, 0, validated.stderr);
      assert.match(validated.stdout, /2 files were repaired/);
      await isWhole();
    });

    it('fails when told not to repair, and one retry at the top brings it (ADM-1)', async () => {
      await damageCopy();
      const validated = await validate('--no-repair');
      assert.equal(validated.exitCode, 1);
      assert.match(validated.stderr, /waybill retry --package/);
      await central.sitesStatusIs({ packageId, siteCode: 'PS2' }, (state) =>
        state.endsWith('FAILED'),
      );
      assert.match(
        (await atTop('status', '--failed')).stdout,
        /site PS2 .* damaged: 1 file damaged/,
      );
      assert.equal((await atTop('retry')).exitCode, 0);
      await central.sitesStatusIs({ packageId, siteCode: 'PS2' }, (state) => {
        return state.endsWith('_INSTALLED');
      });
      const reported = async () => (await atTop('package', 'report', '--damaged')).stdout;
      while (!(await reported()).includes('All that was validated is whole'));
      await isWhole();
    });

    it('is mended by a redistribution to one of its distribution points (PKG-6)', async () => {
      await damageCopy();
      const words = ['--dp', 'PS2DP1', '--wait'];
      const sent = await atTop('package', 'redistribute', packageId, ...words);
      assert.equal(sent.exitCode, 0, sent.stderr);
      // It may still be looked at: whoever asks once more waits for that.
      assert.equal((await validate()).exitCode, 0);
      await isWhole();
    });
  });
});
