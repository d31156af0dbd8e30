import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Administrator } from './administrator.ts';
import { CountingProxy } from './counting-proxy.ts';
import { HostileSource, mischiefs } from './hostile-source.ts';
import { damageStoredFile, referencedHashes } from './library-files.ts';
import { Network } from './network.ts';
import { type ProgramEnd, programs, runProgram } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const one = 'PS1DP1';
const other = 'PS1DP2';
const streams = 8;
const bigBytes = byScale({ short: 32 * mebibyte, long: 512 * mebibyte });

describe('waybill get (CLIENT-1, CLIENT-2)', () => {
  let network: Network;
  let administrator: Administrator;
  let source: string;
  let packageId: string;
  let out: string;

  before(async () => {
    network = await Network.start({ distributionPoints: [one, other], clients: ['pc1'] });
    administrator = await Administrator.of(network);
    source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: bigBytes, seed: 1 });
    await writeSmallFiles(join(source, 'small'), { count: 200, bytes: 3_000, seed: 2 });
    packageId = await administrator.create(source);
    for (const dpId of [one, other]) await administrator.install(packageId, dpId);
    out = join(network.directory, 'got');
  });
  afterEach(async () => {
    for (const path of [out, `${out}.waybill-partial`])
      await rm(path, { recursive: true, force: true });
  });
  after(() => network.stop());

  function words(...more: readonly string[]): string[] {
    const { caFile, certificateFile, keyFile } = network.certificateFiles({
      kind: 'client',
      name: 'pc1',
    });
    const credentials = ['--ca', caFile, '--cert', certificateFile, '--key', keyFile];
    const command = ['get', packageId, '--out', out, ...more];
    return [...command, '--server', network.site.address, ...credentials];
  }

  const get = (...more: readonly string[]): Promise<ProgramEnd> =>
    runProgram(programs.waybill, words(...more));

  async function isWhole(): Promise<void> {
    assert.equal(await treeDifference(source, out), '');
    await assert.rejects(stat(`${out}.waybill-partial`), { code: 'ENOENT' });
  }

  it('fetches a package from a DP, verified, with modes and times', async () => {
    const { exitCode, stdout, stderr } = await get('--json');
    assert.equal(exitCode, 0, stderr);
    const told = JSON.parse(stdout) as { packageId: string; files: number; bytes: number };
    const { fileCount, sizeBytes } = await administrator.getPackage(packageId);
    assert.deepEqual(
      [told.packageId, told.files, told.bytes],
      [packageId, Number(fileCount), Number(sizeBytes)],
    );
    await isWhole();
  });

  it('goes on where a kill left it, with at most a piece a stream again', async () => {
    const proxies: CountingProxy[] = [];
    for (const dpId of [one, other]) {
      const proxy = await CountingProxy.start(network.dp(dpId).address);
      await administrator.setAddress(dpId, proxy.address);
      proxies.push(proxy);
    }
    const returned = () => proxies.reduce((sum, proxy) => sum + proxy.returnedBytes, 0);
    const child = spawn(process.execPath, [programs.waybill, ...words()], { stdio: 'ignore' });
    const killed = once(child, 'exit');
    await Promise.race(proxies.map((proxy) => proxy.whenReturned(bigBytes / 4)));
    child.kill('SIGKILL');
    await killed;
    await assert.rejects(stat(out), { code: 'ENOENT' });
    const { exitCode, stderr } = await get();
    assert.equal(exitCode, 0, stderr);
    await isWhole();
    const sizeBytes = bigBytes + 200 * 3_000;
    const bound = sizeBytes * 1.01 + streams * mebibyte + mebibyte;
    assert.ok(returned() <= bound, `${returned()} bytes, over ${bound}`);
    for (const [index, dpId] of [one, other].entries()) {
      await administrator.setAddress(dpId, network.dp(dpId).address);
      await proxies[index]?.[Symbol.asyncDispose]();
    }
  });

  it('takes the others when one is down, damaged or hostile, and says who', async () => {
    const [hash = ''] = await referencedHashes(network.dataDirectoryOf(one));
    await damageStoredFile(network.dataDirectoryOf(one), hash);
    assert.equal((await get()).exitCode, 0);
    await isWhole();
    await rm(out, { recursive: true });
    await network.dp(one).kill();
    assert.equal((await get()).exitCode, 0);
    await isWhole();
    await rm(out, { recursive: true });
    await using hostile = await HostileSource.start(network, {
      dpId: one,
      honestDpId: other,
      mischief: mischiefs.wrongBytes,
    });
    const { exitCode, stderr } = await get();
    assert.equal(exitCode, 0, stderr);
    assert.ok(hostile.requests.length > 0);
    assert.match(stderr, /PS1DP1/);
    await isWhole();
  });

  it('says what is wrong: an unknown package, a directory that is not empty', async () => {
    const unknown = words().map((word) => (word === packageId ? 'PS1FFFFF' : word));
    const missing = await runProgram(programs.waybill, unknown);
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stderr, /no package PS1FFFFF/);
    await writeSmallFiles(out, { count: 1, bytes: 1, seed: 3 });
    const full = await get();
    assert.notEqual(full.exitCode, 0);
    assert.match(full.stderr, /empty/);
  });
});
