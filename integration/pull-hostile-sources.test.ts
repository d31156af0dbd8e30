import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { HostileSource, type Mischief, mischiefs } from './hostile-source.ts';
import { referencedHashes, storedHashes } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const hostile = 'PS1DP1';
const honest = 'PS1DP2';
const pull = 'PS1DP3';

/** What a source that is passed over may cost: its share of the healthy time, and the floor of a stall. */
const allowedShare = 1.2;
const stallFloorMs = 2_000;
/** How often both are measured at most. */
const measuredMax = 3;

describe('a source that is not what it should be (PULL-7, SEC-4)', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;
  let packageId: string;
  let healthyMs = 0;

  before(async () => {
    network = await Network.start({
      distributionPoints: [hostile, honest, pull],
      pull: { [pull]: { sources: { [hostile]: 1, [honest]: 1 } } },
      dp: { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 },
    });
    administrator = await Administrator.of(network);
    source = join(network.directory, 'source');
    const bytes = byScale({ short: 24 * mebibyte, long: 512 * mebibyte });
    await writeNoise(join(source, 'image.wim'), { bytes, seed: 1 });
    await writeSmallFiles(join(source, 'small'), { count: 500, bytes: 3_000, seed: 2 });
    packageId = await administrator.create(source);
    await administrator.install(packageId, hostile);
    await administrator.install(packageId, honest);
    const startedMs = performance.now();
    await administrator.install(packageId, pull);
    healthyMs = performance.now() - startedMs;
    await network.dp(hostile).kill();
  });

  after(() => network.stop());

  /** Fetches the package anew beside a source that does so. @returns how long that took */
  async function fetchBeside(mischief: Mischief): Promise<number> {
    await administrator.remove(packageId, pull);
    await administrator.removed({ packageId, dpId: pull });
    await network.dp(pull).kill();
    await rm(network.dataDirectoryOf(pull), { recursive: true });
    await network.dp(pull).start();
    await using source = await HostileSource.start(network, {
      dpId: hostile,
      honestDpId: honest,
      mischief,
    });
    const startedMs = performance.now();
    await administrator.install(packageId, pull);
    const tookMs = performance.now() - startedMs;
    assert.ok(source.requests.length > 0, 'it was asked');
    return tookMs;
  }

  async function isWhole(): Promise<void> {
    const out = await extractPackage(network, pull, packageId);
    assert.equal(await treeDifference(source, out), '');
    await rm(out, { recursive: true });
    const directory = network.dataDirectoryOf(pull);
    assert.deepEqual(await storedHashes(directory), await referencedHashes(directory));
  }

  for (const name of ['wrongBytes', 'wrongLengths', 'endlessData'] as const) {
    it(`costs nothing and is named when it does: ${name}`, async () => {
      const toldBefore = (await liesTold()).length;
      await fetchBeside(mischiefs[name]);
      await isWhole();
      const lies = await liesTold();
      assert.equal(lies.length, toldBefore + 1, 'one message');
      assert.match(lies.at(-1)?.text ?? '', /PS1DP1 gave wrong bytes of package/);
    });
  }

  it('is passed over when it lacks half of what it holds, or refuses all', async () => {
    for (const name of ['oddPieces', 'refusing'] as const) {
      await fetchBeside(mischiefs[name]);
      await isWhole();
    }
  });

  it('costs little when it is slow', async () => {
    let excessMs = Number.POSITIVE_INFINITY;
    // The machine may be busy with something else: then both are measured once more.
    for (let round = 0; excessMs > 0 && round < measuredMax; round++) {
      const withoutMs = Math.max(healthyMs, await fetchBeside(mischiefs.refusing));
      const tookMs = await fetchBeside(mischiefs.slow);
      await isWhole();
      process.stdout.write(
        `      beside a slow source ${tookMs.toFixed(0)} ms, without ${withoutMs.toFixed(0)} ms\n`,
      );
      excessMs = tookMs - (allowedShare * withoutMs + stallFloorMs);
    }
    assert.ok(excessMs <= 0, `${excessMs.toFixed(0)} ms too long`);
  });

  async function liesTold() {
    const messages = await administrator.messages({ packageId, dpId: pull });
    return messages.filter(({ messageId }) => messageId === 9003);
  }
});
