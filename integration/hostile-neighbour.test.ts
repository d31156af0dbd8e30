import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { hashOf } from '../shared/content-library/content-hash.ts';
import { WaybillError } from '../shared/domain/errors.ts';
import type { SiteContent } from '../shared/domain/hierarchy-package.ts';
import type { InstructionRefusal } from '../shared/domain/site-instruction.ts';
import { headBytes } from '../shared/package-file/package-file-format.ts';
import { forgedBlock } from '../shared/package-file/testing/forged-file.ts';
import { joinKey, keySpaces } from '../shared/state-store/key-space.ts';
import { StateStore } from '../shared/state-store/state-store.ts';
import { parseTransferInstruction } from '../site-server/site-identity/instructions.ts';
import type { Administrator } from './administrator.ts';
import { peakBytesUnder, peakMemoryBytes, staysResponsive } from './bounds.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { type HostileSender, type Lies, type StolenFile, StolenSite } from './hostile-neighbour.ts';
import { storedHashes } from './library-files.ts';
import { extractPackage } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const hourMs = 3_600_000;
const memoryBytesMax = 400 * mebibyte;
/** What a small package takes while it is unpacked. */
const stagingBytesMax = 8 * mebibyte;
/** Status messages about what one site sent, within ten minutes. */
const reportsMax = 20;
/** A bomb is at most what Zstandard in WebAssembly packs at once: of a gigabyte it has no memory for both sides. */
const { bombBytes, floodCount, timeoutMs } = byScale({
  short: { bombBytes: 128 * mebibyte, floodCount: 100, timeoutMs: 120_000 },
  long: { bombBytes: 768 * mebibyte, floodCount: 5_000, timeoutMs: 600_000 },
});

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
];
const dpId = 'PS1DP1';

interface Published {
  readonly packageId: string;
  readonly source: string;
}

describe('a site takes of one that somebody has taken over (REP-7, SEC-1, SEC-4)', function () {
  this.timeout(timeoutMs);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  /** Of site PS2: of the first there is a version 2. */
  let first: Published;
  let second: Published;
  let ofCentral: Published;
  let thief: StolenSite;
  /** The same, with the key of before. */
  let earlier: StolenSite;
  let sender: HostileSender;
  let file: StolenFile;
  let secondFile: StolenFile;

  before(async () => {
    network = await HierarchyNetwork.start({ sites });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
    const stolen = await network.administrator('PS2');
    ofCentral = await publish(central, 'of-central');
    [first, second] = [await publish(stolen, 'first'), await publish(stolen, 'second')];
    await writeFiles(first.source, { 'setup.exe': 'changed' });
    await stolen.update(first.packageId);
    earlier = await StolenSite.of(network, 'PS2');
    await rotateKey();
    await primary.hears(first.packageId, 2);
    await primary.hears(second.packageId, 1);
    await central.sitesAre((all) =>
      all.some((one) => one.siteCode === 'PS2' && one.distributionPointCount === 1),
    );
    await network.agent('PS2').kill();
    thief = await StolenSite.of(network, 'PS2');
    file = await thief.packageFileOf(first.packageId);
    secondFile = await thief.packageFileOf(second.packageId);
    sender = thief.transferTo('PS1');
    // What is wished for is kept; it can come from nowhere but the test.
    for (const { packageId } of [first, second]) {
      await primary.distribute(packageId, dpId);
      await primary.packageIs(packageId, ({ reason }) => reason.includes('has not arrived'));
    }
  });

  after(async () => {
    sender?.[Symbol.dispose]();
    await network?.stop();
  });

  async function publish(administrator: Administrator, name: string): Promise<Published> {
    const source = join(network.directory, `source-${name}`);
    await writeNoise(join(source, 'image.wim'), { bytes: 2 * mebibyte, seed: name.length });
    await writeFiles(source, { 'setup.exe': `setup ${name}`, 'docs/readme.txt': 'read' });
    return { packageId: await administrator.create(source), source };
  }

  /** Another key for site PS2, which site PS1 has heard of. */
  async function rotateKey(): Promise<void> {
    const admin = await network.admin('PS2');
    const { signingKeyIds } = await admin.unary('rotateSigningKey', {}, { deadlineMs: 10_000 });
    await primary.sitesAre((all) => {
      const known = all.find(({ siteCode }) => siteCode === 'PS2');
      return known?.signingKeyIds.join() === signingKeyIds.join();
    });
  }

  /** Whatever a refused message could have changed at the site. */
  async function stateOfPrimary(): Promise<unknown> {
    const data = network.dataDirectoryOf('PS1');
    const packages = await primary.packages();
    return {
      packages: packages.map(({ packageId, state, reason, storedVersion, properties }) => {
        return { packageId, state, reason, storedVersion, name: properties?.name };
      }),
      files: await storedHashes(data),
      stored: (await readdir(join(data, 'content-library', 'pkg-lib'))).sort(),
    };
  }

  async function reports(messageId = 4404): Promise<string[]> {
    const messages = await primary.messages();
    return messages.filter((one) => one.messageId === messageId).map(({ text }) => text);
  }

  /** Refusals of the thief that site PS1 has written down. */
  async function audited(): Promise<string[]> {
    const records = await primary.auditRecords();
    return records
      .filter(({ caller, result }) => caller === 'waybill://site/PS2' && result !== 'ok')
      .map(({ result }) => result);
  }

  /** It is refused with this code, audited, reported, and nothing has changed. */
  async function isRefused(
    attempt: () => Promise<void>,
    code: string,
    reason?: InstructionRefusal,
  ): Promise<void> {
    const state = await stateOfPrimary();
    const [auditedCount, reportCount] = [(await audited()).length, (await reports()).length];
    const error = await failureOf(attempt());
    assert.equal(error.code, code, error.message);
    if (reason) assert.equal('reason' in error.details && error.details.reason, reason);
    assert.deepEqual(await stateOfPrimary(), state, 'nothing has changed');
    const records = await audited();
    assert.equal(records.length, auditedCount + 1, `audited: ${error.message}`);
    assert.ok(records.includes(code));
    const told = await reports();
    assert.equal(told.length, reportCount + 1, `reported: ${error.message}`);
    assert.ok(told.some((text) => text.endsWith(error.message)));
  }

  /** An instruction for the first package with these lies in it. */
  function isRefusedAs(reason: InstructionRefusal, lies: Lies = {}): Promise<void> {
    const instruct = () => sender.instruct(thief.instruction(file, lies));
    return isRefused(instruct, 'INSTRUCTION_REFUSED', reason);
  }

  /** What site PS1 says that it holds; it is stopped to be read. */
  async function contentOfPrimary(packageId: string): Promise<SiteContent | undefined> {
    await network.agent('PS1').kill();
    const directory = join(network.dataDirectoryOf('PS1'), 'state-store');
    const { store } = await StateStore.open({ directory, logger: pino({ enabled: false }) });
    const content = await store.records(keySpaces.siteContents).get(joinKey(packageId, 'PS1'));
    await store.close();
    await network.agent('PS1').start();
    return content;
  }

  async function arrives({ packageId, source }: Published): Promise<void> {
    await primary.installed({ packageId, dpId });
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  async function storedCount({ packageId }: Published): Promise<number> {
    const messages = await primary.messages({ packageId });
    return messages.filter(({ messageId }) => messageId === 4400).length;
  }

  it('no package file with one bit changed', async () => {
    const bytes = Buffer.from(file.bytes);
    bytes[mebibyte] = (bytes[mebibyte] ?? 0) ^ 1;
    await isRefused(() => sender.putFile(file, bytes), 'FILE_HASH_MISMATCH');
    await isRefusedAs('file-not-here');
  });

  it('no instruction that another site signed, or nobody', async () => {
    await sender.putFile(file);
    const garbage = Buffer.alloc(64, 7);
    await isRefusedAs('sender-signature', { signed: { transferSignature: garbage } });
    await isRefusedAs('source-signature', { signed: { packageSignature: garbage } });
    await isRefusedAs('sender-key-unknown', { transfer: { sendingSiteCode: 'CS1' } });
    const asCentral = { sourceSiteCode: 'CS1', packageId: ofCentral.packageId, jobId: 'CS1-F1' };
    await isRefusedAs('source-key-unknown', { package: asCentral });
    const { transfer, ...right } = thief.instruction(file);
    const transferSignature = sign(null, transfer, generateKeyPairSync('ed25519').privateKey);
    await isRefusedAs('sender-signature', { signed: { ...right, transfer, transferSignature } });
  });

  it('no instruction signed with a key that its site has retired', async () => {
    const { transfer } = thief.instruction(file);
    const { signature, keyId } = earlier.keys.sign(transfer);
    const signed = { transfer, transferSignature: signature, transferKeyId: keyId };
    await isRefusedAs('sender-key-retired', { signed });
  });

  it('no instruction for another site, of another time, or of parts that do not belong together', async () => {
    await isRefusedAs('other-destination', { transfer: { destinationSiteCode: 'CS1' } });
    await isRefusedAs('not-fresh', { transfer: { signedAtMs: Date.now() - hourMs } });
    await isRefusedAs('not-fresh', { transfer: { signedAtMs: Date.now() + hourMs } });
    const [createdAtMs, expiresAtMs] = [Date.now() - 2 * hourMs, Date.now() - hourMs];
    await isRefusedAs('expired', { package: { createdAtMs, expiresAtMs } });
    const packageInstructionHash = hashOf(Buffer.from('another one'));
    await isRefusedAs('package-instruction-hash', { transfer: { packageInstructionHash } });
  });

  it('nothing for a final site that is unknown, and no package of another site', async () => {
    await isRefusedAs('final-site-unknown', { package: { finalSiteCode: 'XYZ' } });
    const offer = () => sender.offer(file, { finalSiteCode: 'XYZ' });
    await isRefused(offer, 'INSTRUCTION_REFUSED', 'final-site-unknown');
    await isRefusedAs('source-not-owner', { package: { packageId: ofCentral.packageId } });
  });

  it('no instruction that another site signed for that one, and that it passes on', async () => {
    await using receiver = await thief.receive();
    await central.distribute(ofCentral.packageId, 'PS2DP1');
    const caught = await receiver.first();
    const passOn = () => sender.instruct(caught);
    await isRefused(passOn, 'INSTRUCTION_REFUSED', 'other-sender');
  });

  it('the good one after all of these, once; and nothing like it again', async () => {
    const instruction = thief.instruction(file);
    await sender.instruct(instruction);
    await arrives(first);
    await sender.instruct(instruction);
    assert.equal(await storedCount(first), 1);
    const { nonce } = parseTransferInstruction(instruction.transfer);
    await isRefusedAs('replayed', { transfer: { nonce } });
    await isRefusedAs('other-content', { package: { packageHash: 'ab'.repeat(32) } });
    await isRefused(
      () => sender.instruct(thief.instruction(file, { package: { sourceVersion: 1 } })),
      'VERSION_DOWNGRADE',
    );
  });

  it('no flood of status messages: the audit trail has the rest', async () => {
    const before = (await audited()).length;
    for (let count = 0; count < floodCount; count++) {
      await failureOf(sender.instruct(thief.instruction(file, { transfer: { signedAtMs: 1 } })));
    }
    // Of a longer flood in one minute it has the beginning, and the count of the others.
    const recordedCount = (await audited()).length - before;
    assert.ok(recordedCount >= 100 && recordedCount <= floodCount, `${recordedCount} records`);
    assert.equal((await reports()).length, reportsMax);
  });

  it('nothing that becomes more than it says, and goes on', async () => {
    const start =
      headBytes + JSON.parse(secondFile.bytes.toString('latin1', 8, headBytes)).bundleBytes;
    const beginning = secondFile.bytes.subarray(0, start);
    const bomb = forgedBlock(Buffer.alloc(bombBytes));
    const ofLength = (said: number) => {
      const block = Buffer.from(bomb);
      block.writeUInt32LE(said, 0);
      return Buffer.concat([beginning, block]);
    };
    const rawBytes = secondFile.bytes.readUInt32LE(start);
    const bombs = [
      ...[rawBytes, 4 * mebibyte, bombBytes].map(ofLength),
      Buffer.concat([secondFile.bytes, bomb]),
    ];
    const [state, admin] = [await stateOfPrimary(), await network.admin('PS1')];
    const staging = join(network.dataDirectoryOf('PS1'), 'content-library', 'staging');
    const work = async () => {
      for (const [index, bytes] of bombs.entries()) {
        const harmful = { ...secondFile, bytes };
        await sender.putFile(harmful);
        await sender.instruct(thief.instruction(harmful));
        await primary.messagesAre((all) => all.filter(is4405).length === index + 1);
      }
    };
    const peakBytes = await peakBytesUnder(staging, staysResponsive(admin, work()));
    assert.ok(peakBytes < stagingBytesMax, `${peakBytes} bytes were written`);
    assert.deepEqual(await stateOfPrimary(), state, 'nothing of it is here');
    const memoryBytes = await peakMemoryBytes(network.agent('PS1'));
    assert.ok(memoryBytes < memoryBytesMax, `${memoryBytes} bytes of memory`);
    const content = await contentOfPrimary(second.packageId);
    assert.deepEqual([content?.state, content?.storedVersion], ['refused', 0]);
    await sender.putFile(secondFile);
    await sender.instruct(thief.instruction(secondFile));
    await arrives(second);
  });
});

function is4405({ messageId }: { messageId: number }): boolean {
  return messageId === 4405;
}

async function failureOf(attempt: Promise<void>): Promise<WaybillError> {
  const error = await attempt.then(
    () => assert.fail('it was taken'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof WaybillError) return error;
  throw error;
}
