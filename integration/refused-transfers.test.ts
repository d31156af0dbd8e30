import assert from 'node:assert/strict';
import { cp, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Administrator, SendRequest } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const largeBytes = 12 * mebibyte;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
];
const dpId = 'PS1DP1';

interface Published {
  readonly packageId: string;
  readonly source: string;
}

describe('what a site refuses of an honest one, shown at both ends (REP-7)', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let sourceCount = 0;

  before(async () => {
    const site = {
      sending: { retryDelayMs: 300, retryDelayMsMax: 1_000 },
      replication: { retryDelayMs: 50, retryDelayMsMax: 500 },
    };
    network = await HierarchyNetwork.start({ sites, links: ['PS1'], site });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
    await central.sitesAre((all) =>
      all.some((one) => one.siteCode === 'PS1' && one.distributionPointCount === 1),
    );
  });

  after(() => network?.stop());

  async function publish(bytes = mebibyte): Promise<Published> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes, seed });
    return { packageId: await central.create(source), source };
  }

  /** Its package file is made, and waits for the link. */
  async function sendBehindCutLink(bytes?: number): Promise<Published> {
    network.link('PS1').cut();
    const published = await publish(bytes);
    await central.distribute(published.packageId, dpId);
    await central.sendRequestIs(published, ({ state }) => state === 'SEND_REQUEST_STATE_RETRYING');
    return published;
  }

  async function arrives({ packageId, source }: Published): Promise<void> {
    await central.installed({ packageId, dpId });
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  /** The refusal stands in the audit trails and in status messages of both. */
  async function isToldAtBothEnds(
    { packageId }: Published,
    { method, result, words }: { method: string; result: string; words: string },
  ): Promise<void> {
    await primary.auditIs((record) => {
      const isThis = record.caller === 'waybill://site/CS1' && record.method.endsWith(method);
      return isThis && record.result === result && record.detail.includes(packageId);
    });
    await central.auditIs(({ caller, method: what, ...record }) => {
      const isThis = caller === 'waybill://site/CS1' && what === 'send';
      return isThis && record.result === result && record.detail.includes(packageId);
    });
    for (const [administrator, messageId] of [
      [primary, 4404],
      [central, 9021],
    ] as const) {
      await administrator.messagesAre((messages) =>
        messages.some((one) => {
          const isThis = one.messageId === messageId && one.packageId === packageId;
          return isThis && one.text.includes(words);
        }),
      );
    }
  }

  async function flipBitOfOnlyFile(): Promise<void> {
    const directory = join(network.dataDirectoryOf('CS1'), 'package-files');
    const [name, ...others] = await readdir(directory);
    assert.ok(name && others.length === 0);
    await using file = await open(join(directory, name), 'r+');
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, largeBytes / 2);
    await file.write(Buffer.of((buffer[0] ?? 0) ^ 1), 0, 1, largeBytes / 2);
  }

  it('a package file that was damaged on the disk of its sender: it is made anew and goes through', async () => {
    const published = await sendBehindCutLink(largeBytes);
    await flipBitOfOnlyFile();
    const words = 'expected hash';
    const shown = central.sendRequestIs(published, ({ reason }) => reason.includes(words));
    const link = network.link('PS1');
    link.to.reset();
    link.join();
    // In the midst of the second time, for an administrator to see it.
    await link.to.whenForwarded(1.5 * largeBytes);
    link.to.hold();
    await shown;
    link.to.release();
    await arrives(published);
    await isToldAtBothEnds(published, { method: 'PutFile', result: 'FILE_HASH_MISMATCH', words });
  });

  it('what is signed with a key it has not heard of: it goes through when it has', async () => {
    const link = network.link('PS1');
    link.from?.cut();
    const admin = await network.admin('CS1');
    await admin.unary('rotateSigningKey', {}, { deadlineMs: 10_000 });
    const published = await publish();
    await central.distribute(published.packageId, dpId);
    const words = 'signing key of the sending site is not known';
    const isShown = ({ state, reason }: SendRequest) =>
      state === 'SEND_REQUEST_STATE_RETRYING' && reason.includes(words);
    await central.sendRequestIs(published, isShown);
    const [method, result] = ['PutInstruction', 'INSTRUCTION_REFUSED'];
    await isToldAtBothEnds(published, { method, result, words });
    link.from?.join();
    await arrives(published);
  });

  it('a version lower than it has, of a site that was restored from an old copy; the next one goes through', async () => {
    const published = await sendBehindCutLink();
    const { packageId, source } = published;
    const [link, server] = [network.link('PS1'), network.agent('CS1')];
    const data = network.dataDirectoryOf('CS1');
    await server.kill();
    await cp(data, `${data}-old`, { recursive: true });
    await server.start();
    link.join();
    await arrives(published);
    await writeFiles(source, { 'setup.exe': 'version 2' });
    await central.update(packageId);
    await arrives(published);

    await server.kill();
    link.from?.cut();
    await rm(data, { recursive: true });
    await cp(`${data}-old`, data, { recursive: true });
    await server.start();
    await central.sendRequestEnded(published, ({ state, reason }) => {
      return state === 'SEND_REQUEST_STATE_CANCELLED' && reason.includes('version');
    });
    const [method, result] = ['OfferFile', 'VERSION_DOWNGRADE'];
    await isToldAtBothEnds(published, { method, result, words: 'version' });
    const [{ installedVersion } = assert.fail()] = await primary.statuses({ packageId, dpId });
    assert.equal(installedVersion, 2);

    link.from?.join();
    await central.packageIs(packageId, ({ sourceVersion }) => sourceVersion === 2);
    await writeFiles(source, { 'setup.exe': 'version 3' });
    await central.update(packageId);
    await arrives(published);
  });
});
