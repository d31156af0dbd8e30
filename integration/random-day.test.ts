import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import { Administrator } from './administrator.ts';
import { referencedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { Noise, writeFiles } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const dpIds = ['PS1DP1', 'PS1DP2'] as const;
const swept = { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 };
const packagesMax = 6;
/** Contents files are made of: few, so that packages share many. */
const distinctFiles = 12;

const { stepCount, killEvery, timeoutMs } = byScale({
  short: { stepCount: 40, killEvery: 15, timeoutMs: 180_000 },
  long: { stepCount: 1_000, killEvery: 20, timeoutMs: 3_600_000 },
});

/** What a package should be. */
interface ExpectedPackage {
  readonly source: string;
  readonly on: Set<string>;
}

/** A day of an administrator who does this and that, without waiting for the end of anything. */
class RandomDay {
  readonly #network: Network;
  readonly #administrator: Administrator;
  readonly #random: SeededRandom;
  readonly packages = new Map<string, ExpectedPackage>();
  #sourceCount = 0;

  constructor(network: Network, administrator: Administrator, random: SeededRandom) {
    this.#network = network;
    this.#administrator = administrator;
    this.#random = random;
  }

  async step(): Promise<void> {
    const known = [...this.packages.keys()];
    if (known.length === 0) return this.#create();
    const packageId = this.#random.pick(known);
    const actions = [
      () => this.#create(),
      () => this.#update(packageId),
      () => this.#update(packageId),
      () => this.#distribute(packageId),
      () => this.#distribute(packageId),
      () => this.#redistribute(packageId),
      () => this.#remove(packageId),
      () => this.#delete(packageId),
    ];
    await this.#random.pick(actions)();
  }

  /** Ends an agent in the middle of whatever it does. */
  async crash(): Promise<void> {
    const victim = this.#random.pick([this.#network.site, ...this.#network.dps]);
    await victim.kill();
    await victim.start();
    await (await this.#network.admin()).whenReachable();
  }

  async #create(): Promise<void> {
    if (this.packages.size >= packagesMax) return;
    const source = join(this.#network.directory, `source-${++this.#sourceCount}`);
    await this.#fill(source);
    this.packages.set(await this.#administrator.define(source), { source, on: new Set() });
  }

  /** Makes the source anew: some of the few files there are, under names of their own. */
  async #fill(source: string): Promise<void> {
    // The snapshot before must have been read: a source that changes meanwhile is refused.
    await rm(source, { recursive: true, force: true });
    const count = 1 + this.#random.below(distinctFiles);
    for (let index = 0; index < count; index++) {
      const seed = this.#random.below(distinctFiles);
      // Every third is a file of several pieces.
      const bytes = seed % 3 === 0 ? 1_500_000 + seed : 10_000 + seed;
      await writeFiles(source, { [`${index % 3}/${index}`]: new Noise(seed).next(bytes) });
    }
  }

  async #update(packageId: string): Promise<void> {
    await this.#administrator.published(packageId);
    await this.#fill(this.#expected(packageId).source);
    await this.#administrator.update(packageId);
  }

  async #distribute(packageId: string): Promise<void> {
    const dpId = this.#random.pick(dpIds);
    await this.#administrator.distribute(packageId, dpId);
    this.#expected(packageId).on.add(dpId);
  }

  async #redistribute(packageId: string): Promise<void> {
    const [dpId] = this.#expected(packageId).on;
    if (dpId) await this.#administrator.redistribute(packageId, dpId);
  }

  async #remove(packageId: string): Promise<void> {
    const dpId = this.#random.pick(dpIds);
    await this.#administrator.remove(packageId, dpId);
    this.#expected(packageId).on.delete(dpId);
  }

  async #delete(packageId: string): Promise<void> {
    if (this.#random.below(2) === 0) return;
    this.packages.delete(packageId);
    await this.#administrator.delete(packageId);
  }

  #expected(packageId: string): ExpectedPackage {
    const found = this.packages.get(packageId);
    assert.ok(found);
    return found;
  }
}

describe(`a day of creating, updating and removing, with crashes (seed ${testSeed})`, () => {
  it(`ends with reference counts equal to references, and every package where it should be (PKG-5, PKG-7, PKG-10, DM-1; ${stepCount} steps)`, async function () {
    this.timeout(timeoutMs);
    await using network = await Network.start({
      distributionPoints: dpIds,
      site: swept,
      dp: swept,
    });
    const administrator = await Administrator.of(network);
    const day = new RandomDay(network, administrator, new SeededRandom(testSeed));
    for (let step = 1; step <= stepCount; step++) {
      await day.step();
      if (step % killEvery === 0) await day.crash();
    }
    for (const [packageId, { source, on }] of day.packages) {
      await administrator.published(packageId);
      for (const dpId of dpIds) {
        if (!on.has(dpId)) {
          await administrator.removed({ packageId, dpId });
          continue;
        }
        await administrator.installed({ packageId, dpId });
        const extracted = await extractPackage(network, dpId, packageId);
        assert.equal(await treeDifference(source, extracted), '');
      }
    }
    for (const name of ['PS1', ...dpIds]) await storesOnlyWhatIsUsed(network.dataDirectoryOf(name));
    assert.notEqual((await referencedHashes(network.dataDirectoryOf('PS1'))).length, 0);
    assert.deepEqual(await administrator.openJobs(), []);
  });
});
