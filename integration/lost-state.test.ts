import assert from 'node:assert/strict';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { storesOnlyWhatIsUsed } from './library-files.ts';
import { Network } from './network.ts';
import { extractPackage, programs, runProgram, runWaybill } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { type StateDamage, stateDamages } from './state-damage.ts';
import { isLong } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const dpId = 'PS1DP1';
const client = { kind: 'client', name: 'pc1' } as const;
const swept = { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 };

async function makeSource(network: Network): Promise<string> {
  const source = join(network.directory, 'source');
  await writeNoise(join(source, 'image.wim'), { bytes: 5_000_000, seed: 1 });
  await writeFiles(source, { 'a.txt': 'a', 'docs/b.txt': 'b' });
  return source;
}

/** Kills the agent, damages its state store, starts it. @returns what it logged since */
async function damageState(network: Network, name: string, damage: StateDamage): Promise<string> {
  const agent = name === 'PS1' ? network.site : network.dp(name);
  // LevelDB writes tables when it is opened with a log that has something in it.
  await agent.kill();
  await agent.start();
  await agent.kill();
  const logged = (await readFile(agent.logPath)).length;
  await damage.inflict(join(network.dataDirectoryOf(name), 'state-store'));
  await agent.start();
  return (await readFile(agent.logPath)).subarray(logged).toString();
}

async function setAsideOf(network: Network, name: string): Promise<string[]> {
  const names = await readdir(network.dataDirectoryOf(name));
  return names.filter((one) => one.startsWith('state-store.damaged-'));
}

/** Of every kind one, or all. */
const damages = stateDamages.filter((_, index) => isLong || index % 3 === 0);

describe('the LevelDB of a DP is lost or damaged (architecture 3.1, ROLE-2)', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;
  let firstId: string;

  before(async () => {
    network = await Network.start({
      distributionPoints: [dpId],
      clients: [client.name],
      dp: swept,
    });
    administrator = await Administrator.of(network);
    source = await makeSource(network);
    firstId = await administrator.create(source);
    await administrator.install(firstId, dpId);
  });

  after(() => network.stop());

  /** Somebody else gets the package from the agent itself, the only one that has it. */
  async function isFetched(packageId: string): Promise<void> {
    const out = join(network.directory, 'got');
    const { caFile, certificateFile, keyFile } = network.certificateFiles(client);
    const credentials = ['--ca', caFile, '--cert', certificateFile, '--key', keyFile];
    const words = ['get', packageId, '--out', out, '--server', network.site.address];
    const { exitCode, stderr } = await runProgram(programs.waybill, [...words, ...credentials]);
    assert.equal(exitCode, 0, stderr);
    assert.equal(await treeDifference(source, out), '');
    await rm(out, { recursive: true });
  }

  for (const damage of damages) {
    it(`${damage.name}: it says so, serves on, and nothing is sent again`, async () => {
      const before = await setAsideOf(network, dpId);
      const logged = await damageState(network, dpId, damage);
      if (damage.isEvident) {
        assert.match(logged, /State store was damaged and set aside; the index is rebuilt/);
        assert.equal((await setAsideOf(network, dpId)).length, before.length + 1);
      } else if (damage.name === 'deleted') {
        assert.match(logged, /Index of the library rebuilt/);
      }
      await isFetched(firstId);
      // Another package of the same files: whether they are sent tells whether they are known.
      const packageId = await administrator.create(source);
      const job = await administrator.install(packageId, dpId);
      assert.equal(Number(job.bytesSent), 0);
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(dpId));
      for (const { packageId: one } of await administrator.packages()) {
        const extracted = await extractPackage(network, dpId, one);
        assert.equal(await treeDifference(source, extracted), '');
        if (one !== firstId) await administrator.delete(one);
      }
    });
  }
});

describe('the LevelDB of a site is lost or damaged (architecture 3.1)', () => {
  for (const damage of damages) {
    it(`${damage.name}: it says so, its packages come back, and nothing is sent again`, async () => {
      await using network = await Network.start({ distributionPoints: [dpId] });
      const administrator = await Administrator.of(network);
      const source = await makeSource(network);
      const packageId = await administrator.create(source);
      await administrator.install(packageId, dpId);
      // The DP remembers the serial of the newest job: the site must go on above it.
      for (let round = 0; round < 2; round++) {
        await administrator.redistribute(packageId, dpId);
        await administrator.installed({ packageId, dpId });
      }
      const { packageHash } = await administrator.getPackage(packageId);
      const logged = await damageState(network, 'PS1', damage);
      if (damage.isEvident) {
        assert.match(logged, /State store was set aside/);
        const { stdout } = await runWaybill(network, ['messages', '--json']);
        assert.match(stdout, /"messageId":9001/);
      }
      // A row may have come back as it once was; then it is first brought up to the library.
      const found = await administrator.published(packageId);
      assert.deepEqual(found.packageHash, packageHash);
      await useAgain(network, administrator, packageId);
      const other = await administrator.create(source);
      assert.notEqual(other, packageId, 'a package ID is never used again');
      assert.equal(Number((await administrator.install(other, dpId)).bytesSent), 0);
      for (const one of [packageId, other]) {
        assert.equal(await treeDifference(source, await extractPackage(network, dpId, one)), '');
      }
    });
  }
});

/** Does what the message says: adds the DP again if it is gone, and distributes. */
async function useAgain(network: Network, administrator: Administrator, packageId: string) {
  const { address } = network.dp(dpId);
  const { stdout } = await runWaybill(network, ['dp', 'list', '--json']);
  if (!stdout.includes(dpId)) await administrator.addDistributionPoint(dpId, address);
  const before = await administrator.endedJobs({ packageId, dpId });
  await administrator.install(packageId, dpId);
  const jobs = await administrator.endedJobs({ packageId, dpId });
  // None when the site knows still that the DP has it.
  const added = jobs.slice(0, jobs.length - before.length);
  assert.deepEqual(
    added.map(({ state, bytesSent }) => [state, bytesSent]),
    added.map(() => ['JOB_STATE_COMPLETE', '0']),
  );
}
