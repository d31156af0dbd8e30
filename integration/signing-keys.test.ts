import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import type { MiniJob } from '../shared/domain/send-request.ts';
import { keySpaces } from '../shared/state-store/key-space.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import { decodeSignedInstruction } from '../site-server/site-identity/instructions.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage, programs, runProgram } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const { largeBytes, timeoutMs } = byScale({
  short: { largeBytes: 48 * mebibyte, timeoutMs: 180_000 },
  long: { largeBytes: 1024 * mebibyte, timeoutMs: 900_000 },
});

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'SS1', kind: 'secondary', parent: 'PS1', standard: ['SS1DP1'] },
];

interface Published {
  readonly packageId: string;
  readonly source: string;
}

describe('the signing key of a site that changes (REP-6, REP-7, SEC-1)', function () {
  this.timeout(timeoutMs);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let secondary: Administrator;
  let sourceCount = 0;

  before(async () => {
    const sending = { retryDelayMs: 300, retryDelayMsMax: 1_000 };
    network = await HierarchyNetwork.start({ sites, links: ['PS1', 'SS1'], site: { sending } });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
    secondary = await network.administrator('SS1');
    await central.sitesAre((all) =>
      all.some((one) => one.siteCode === 'SS1' && one.distributionPointCount === 1),
    );
  });

  after(() => network?.stop());

  async function publish(bytes: number): Promise<Published> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes, seed });
    return { packageId: await central.create(source), source };
  }

  async function keysOf(siteCode: string): Promise<string[]> {
    const all = await central.sites();
    return all.find((one) => one.siteCode === siteCode)?.signingKeyIds ?? [];
  }

  /** @returns the keys the site has afterwards, the newest first */
  async function rotate(): Promise<string[]> {
    const words = ['site', 'rotate-key', '--json', ...network.cliOptionsOf('CS1')];
    const { exitCode, stdout, stderr } = await runProgram(programs.waybill, words);
    assert.equal(exitCode, 0, stderr);
    return (JSON.parse(stdout) as { signingKeyIds: string[] }).signingKeyIds;
  }

  /** Brings it to the site in between, which waits with it for the link to the last one. */
  async function sendBehindCutLink(): Promise<Published> {
    network.link('SS1').to.cut();
    const published = await publish(2 * mebibyte);
    await central.distribute(published.packageId, 'SS1DP1');
    await primary.sendRequestIs(published, ({ state }) => state === 'SEND_REQUEST_STATE_RETRYING');
    return published;
  }

  /** The key that signed what site PS1 keeps to pass it on; the site is killed to be read. */
  async function forwardedKeyOf({ packageId }: Published): Promise<string | undefined> {
    await network.agent('PS1').kill();
    const directory = join(network.dataDirectoryOf('PS1'), 'state-store');
    const { store } = await StateStore.open({ directory, logger: pino({ enabled: false }) });
    const jobs: MiniJob[] = [];
    for await (const [, job] of store.records(keySpaces.miniJobs).list()) jobs.push(job);
    await store.close();
    await network.agent('PS1').start();
    const forwarded = jobs.find((job) => job.packageId === packageId)?.forwarded ?? '';
    return decodeSignedInstruction(Buffer.from(forwarded, 'base64')).packageKeyId;
  }

  async function arrives({ packageId, source }: Published, dpId: string): Promise<void> {
    await central.installed({ packageId, dpId });
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  it('loses nothing that is in flight, or waits behind a cut link', async () => {
    const [oldKey] = await keysOf('CS1');
    const waiting = await sendBehindCutLink();
    const large = await publish(largeBytes);
    const link = network.link('PS1').to;
    link.reset();
    await central.distribute(large.packageId, 'PS1DP1');
    await link.whenForwarded(largeBytes / 8);
    link.hold();
    const keys = await rotate();
    assert.deepEqual([keys.length, keys[1]], [2, oldKey]);
    const inFlight = await central.sendRequestIs(large, () => true);
    assert.equal(inFlight.state, 'SEND_REQUEST_STATE_SENDING');
    assert.ok(Number(inFlight.remainingBytes) > 0);
    link.release();
    await arrives(large, 'PS1DP1');
    assert.equal(await forwardedKeyOf(waiting), oldKey);
    // The last site knows that the key has been retired before it is shown what it signed.
    await secondary.sitesAre((all) => {
      return all.some(({ signingKeyIds }) => signingKeyIds.join() === keys.join());
    });
    network.link('SS1').to.join();
    await arrives(waiting, 'SS1DP1');
  });

  it('is the one that signs from then on, and the only one that still can', async () => {
    const [newKey] = await rotate();
    const names = await readdir(join(network.dataDirectoryOf('CS1'), 'signing-keys'));
    assert.deepEqual(names.sort(), [`${newKey}.pem`, 'public-keys.json'].sort());
    const published = await sendBehindCutLink();
    assert.equal(await forwardedKeyOf(published), newKey);
    network.link('SS1').to.join();
    await arrives(published, 'SS1DP1');
    assert.equal((await keysOf('CS1')).length, 3, 'what the others signed stays good');
  });
});
