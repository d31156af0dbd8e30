import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { Network } from './network.ts';
import { runWaybill } from './programs.ts';
import { writeNoise } from './source-files.ts';

/** A DP as `dp show --json` has it. */
interface ShownPoint {
  readonly priority: number;
  readonly isPriorityPinned: boolean;
  readonly measuredBytesPerSecond: number;
}

describe('the priority of distribution points (PTM-3)', () => {
  let network: Network;
  let administrator: Administrator;
  const [dpId, pullId] = ['PS1DP1', 'PS1DP2'] as const;
  const waybill = (...words: string[]) => runWaybill(network, words);

  before(async () => {
    network = await Network.start({
      distributionPoints: [dpId, pullId],
      pull: { [pullId]: { sources: { [dpId]: 1 } } },
    });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  async function shown(name: string): Promise<ShownPoint> {
    const { stdout, stderr, exitCode } = await waybill('dp', 'show', name, '--json');
    assert.equal(exitCode, 0, stderr);
    return JSON.parse(stdout) as ShownPoint;
  }

  it('tunes itself from what is pushed, and from what a pull DP fetches', async () => {
    for (const name of [dpId, pullId]) assert.equal((await shown(name)).priority, 200);
    const source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: 16 * 1024 * 1024, seed: 1 });
    const packageId = await administrator.create(source);
    for (const name of [dpId, pullId]) {
      await administrator.install(packageId, name);
      await administrator.distributionPointsAre((points) =>
        points.some((one) => one.dpId === name && Number(one.measuredBytesPerSecond) > 0),
      );
      const { priority } = await shown(name);
      assert.ok(priority !== 200 && Math.abs(priority - 200) <= 60, `${name}: ${priority}`);
    }
  });

  it('is what an administrator pins, and tunes itself again when it is let go', async () => {
    const tuned = (await shown(dpId)).priority;
    assert.equal((await waybill('dp', 'set', dpId, '--priority', '50')).exitCode, 0);
    assert.deepEqual(
      [(await shown(dpId)).priority, (await shown(dpId)).isPriorityPinned],
      [50, true],
    );
    assert.match((await waybill('dp', 'show', dpId)).stdout, /priority +50, pinned\n/);
    const refused = await waybill('dp', 'set', dpId, '--priority', '500');
    assert.equal(refused.exitCode, 2);
    assert.match(refused.stderr, /--priority: expected a whole number from 1 to 400, or auto/);
    assert.equal((await waybill('dp', 'set', dpId, '--priority', 'auto')).exitCode, 0);
    assert.equal((await shown(dpId)).priority, tuned);
  });
});
