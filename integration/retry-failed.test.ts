import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { runWaybill } from './programs.ts';
import { writeNoise } from './source-files.ts';

const mebibyte = 1024 * 1024;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
];

interface StatusRow {
  readonly packageId: string;
  readonly siteCode: string;
  readonly dpId: string;
  readonly reason: string;
}

describe('what failed in a hierarchy of three sites (ADM-1)', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let small: string;
  let large: string;

  before(async () => {
    network = await HierarchyNetwork.start({
      sites,
      site: {
        // A DP that is down has failed at once, and a large file is more than a site takes.
        distribution: { retryCountMax: 1 },
        despooling: { fileBytesMax: mebibyte },
      },
    });
    central = await network.administrator('CS1');
    small = await publish('small', 64 * 1024);
    large = await publish('large', 3 * mebibyte);
  });

  after(() => network?.stop());

  async function publish(name: string, bytes: number): Promise<string> {
    const source = join(network.directory, name);
    await writeNoise(join(source, 'image.wim'), { bytes, seed: bytes });
    return central.create(source);
  }

  async function failed(siteCode: string, ...words: string[]): Promise<StatusRow[]> {
    const options = { cliOptions: network.cliOptionsOf(siteCode) };
    const { stdout, exitCode } = await runWaybill(options, [
      ...['status', '--failed', '--json'],
      ...words,
    ]);
    assert.equal(exitCode, 0);
    return JSON.parse(stdout);
  }

  /** The top hears of it a moment later: until then it still says that it failed. */
  async function mended(packageId: string, dpId: string): Promise<void> {
    await central.statusIs({ packageId, dpId }, ({ state }) => state.endsWith('_INSTALLED'));
  }

  const placesOf = (rows: readonly StatusRow[]) =>
    rows.map(({ packageId, siteCode, dpId }) => `${packageId} ${siteCode} ${dpId}`.trim()).sort();

  it('one command lists it all, at the top and from below: jobs, and what could not be sent', async () => {
    await network.dp('PS1DP1').kill();
    await central.distribute(small, 'PS1DP1');
    await central.distribute(large, 'PS2DP1');
    const isFailed = ({ state }: { state: string }) => state.endsWith('INSTALL_FAILED');
    await central.statusIs({ packageId: small, dpId: 'PS1DP1' }, isFailed);
    await central.statusIs({ packageId: large, dpId: '' }, (row) => {
      return isFailed(row) && row.siteCode === 'PS2';
    });
    const rows = await failed('CS1');
    assert.deepEqual(placesOf(rows), [`${small} PS1 PS1DP1`, `${large} PS2`].sort());
    const unsent = rows.find(({ packageId }) => packageId === large);
    assert.match(unsent?.reason ?? '', /^Site CS1 could not send it: .*at most 1048576 are taken/);
    assert.deepEqual(placesOf(await failed('PS1', '--all-sites')), placesOf(rows));
    assert.deepEqual(placesOf(await failed('PS1')), [`${small} PS1 PS1DP1`], 'what is seen there');
  });

  it('one command retries it all, and what was wrong is mended', async () => {
    await network.dp('PS1DP1').start();
    await network.agent('PS2').kill();
    const { configPath } = network.agent('PS2');
    const config = await readFile(configPath, 'utf8');
    assert.match(config, /1048576/);
    await writeFile(configPath, config.replace('1048576', String(64 * mebibyte)));
    await network.agent('PS2').start();
    const options = { cliOptions: network.cliOptionsOf('PS1') };
    const { stdout, exitCode } = await runWaybill(options, ['retry', '--all-sites']);
    assert.equal(exitCode, 0);
    assert.equal(stdout, 'Bringing it again to site PS2, for PS2DP1.\nTrying again on PS1DP1.\n');
    await mended(small, 'PS1DP1');
    await mended(large, 'PS2DP1');
    assert.deepEqual(await failed('CS1'), []);
  });
});
