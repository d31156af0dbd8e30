import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { PackageInstruction } from '../../shared/domain/site-instruction.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { InstructionIntake } from '../../site-server/despooler/instruction-intake.ts';
import { defaultReceivedFileConfig } from '../../site-server/despooler/received-file-config.ts';
import { ReceivedFileStore } from '../../site-server/despooler/received-file-store.ts';
import { RefusalReports } from '../../site-server/despooler/refusal-reports.ts';
import { FakePackageFiles } from '../../site-server/despooler/testing/fake-package-files.ts';
import { TransferService } from '../../site-server/despooler/transfer-service.ts';
import {
  encodePackageInstruction,
  encodeTransferInstruction,
} from '../../site-server/site-identity/instructions.ts';
import { TestIdentity } from '../../site-server/site-identity/testing/test-identity.ts';
import { StatusManager } from '../../site-server/status-manager/status-manager.ts';
import { otherSite, site, TrustCircle } from './trust-circle.ts';

const deadlineMs = 15_000;
const mib = 1024 * 1024;
const stranger: PeerIdentity = { kind: 'site', siteCode: 'PS3' };
const isPs1 = (peer: PeerIdentity) => peer.kind === 'site' && peer.siteCode === 'PS1';

/** Site PS1, which is served, and site PS2, which it knows. */
class TwoSites implements AsyncDisposable {
  readonly circle: TrustCircle;
  readonly ps1: TestIdentity;
  readonly ps2: TestIdentity;
  readonly files: FakePackageFiles;
  address = '';
  #running: { stop(): Promise<void> }[] = [];

  private constructor(circle: TrustCircle, ps1: TestIdentity, ps2: TestIdentity) {
    this.circle = circle;
    this.ps1 = ps1;
    this.ps2 = ps2;
    this.files = new FakePackageFiles(ps1.place.join('package-files'));
  }

  static async create(): Promise<TwoSites> {
    const circle = await TrustCircle.create();
    const open = async (siteCode: string, identity: PeerIdentity) =>
      TestIdentity.open({
        siteCode,
        clock: systemClock,
        credentials: await circle.credentials(identity),
      });
    const sites = new TwoSites(circle, await open('PS1', site), await open('PS2', otherSite));
    await sites.ps1.learn('PS2', await sites.ps2.row());
    return sites;
  }

  /** The program of PS1 starts, on what is there. */
  async start(): Promise<void> {
    const { store, directory, keeper: identities, place, log } = this.ps1;
    const { logger } = log;
    const clock = systemClock;
    const packageFiles = this.files;
    const status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
    const reports = new RefusalReports({ store, status, clock });
    const files = new ReceivedFileStore(
      { packageFiles, clock, logger },
      { ...defaultReceivedFileConfig, directory: place.join('despool'), reserveBytes: 0 },
    );
    const intake = new InstructionIntake({
      ...{ store, directory, identities, packageFiles, reports, clock, logger },
      notifier: new ChangeNotifier({ store }),
      library: { getPackage: async () => undefined },
    });
    await files.start();
    await intake.start();
    const service = new TransferService({ directory, files, intake, reports, clock });
    const server = await this.circle.serve('SiteTransfer', service.conversation(), {
      credentials: await this.circle.credentials(site),
    });
    this.address = server.address;
    this.#running = [files, intake, server];
  }

  async stop(): Promise<void> {
    for (const one of this.#running.toReversed()) await one.stop();
    this.#running = [];
  }

  async channel(identity: PeerIdentity = otherSite): Promise<RpcChannel<'SiteTransfer'>> {
    return this.circle.channel('SiteTransfer', this.address, {
      credentials: await this.circle.credentials(identity),
      expected: isPs1,
      expectedText: 'site PS1',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.circle[Symbol.asyncDispose]();
    await this.ps1[Symbol.asyncDispose]();
    await this.ps2[Symbol.asyncDispose]();
  }
}

describe('package files between sites, over mutual TLS', () => {
  let sites: TwoSites;
  const bytes = randomBytes(5 * mib + 12_345);
  const fileHash = hashOf(bytes);
  const offer = {
    requestId: '00000001PS2',
    fileHash: Buffer.from(fileHash, 'hex'),
    fileBytes: bytes.length,
    packageId: 'PS200001',
    sourceVersion: 1,
    finalSiteCode: 'PS1',
  };

  beforeEach(async () => {
    sites = await TwoSites.create();
    await sites.start();
  });
  afterEach(() => sites[Symbol.asyncDispose]());

  const held = async (channel: RpcChannel<'SiteTransfer'>) =>
    Number((await channel.unary('offerFile', offer, { deadlineMs })).heldBytes);

  /** Sends from a byte to another one; reads what is held along the way. */
  const put = async (
    channel: RpcChannel<'SiteTransfer'>,
    { from, to = bytes.length, content = bytes }: { from: number; to?: number; content?: Buffer },
  ) => {
    const call = channel.duplex('putFile', { deadlineMs });
    const confirmed: number[] = [];
    let isComplete = false;
    const reading = (async () => {
      for (let answer = await call.read(); answer; answer = await call.read()) {
        confirmed.push(Number(answer.heldBytes));
        isComplete = answer.complete;
      }
    })();
    for (let at = from; at < to; at += mib) {
      const data = content.subarray(at, Math.min(to, at + mib));
      await call.write(at === from ? { file: offer, offset: at, data } : { data }).catch(() => {});
    }
    call.end();
    await reading;
    return { confirmed, isComplete };
  };

  const signed = (facts: Partial<PackageInstruction> = {}) => {
    const nowMs = Date.now();
    const order = encodePackageInstruction({
      jobId: 'PS2-00000001',
      sourceSiteCode: 'PS2',
      finalSiteCode: 'PS1',
      packageId: 'PS200001',
      sourceVersion: 1,
      baseVersion: 0,
      file: { fileHash, fileBytes: bytes.length },
      packageHash: 'ab'.repeat(32),
      priority: 2,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + 60_000,
      ...facts,
    });
    const transfer = encodeTransferInstruction({
      requestId: '00000001PS2',
      sendingSiteCode: 'PS2',
      destinationSiteCode: 'PS1',
      signedAtMs: nowMs,
      nonce: randomBytes(32).toString('hex'),
      packageInstructionHash: hashOf(order),
    });
    const bySource = sites.ps2.keeper.sign(order);
    const bySender = sites.ps2.keeper.sign(transfer);
    return {
      ...{ transfer, transferSignature: bySender.signature, transferKeyId: bySender.keyId },
      ...{ package: order, packageSignature: bySource.signature, packageKeyId: bySource.keyId },
    };
  };

  it('come whole, then their instruction, which is on disk when it is answered (REP-5, REP-6)', async () => {
    const channel = await sites.channel();
    assert.equal(await held(channel), 0);
    const { confirmed, isComplete } = await put(channel, { from: 0 });
    assert.equal(isComplete, true);
    assert.equal(confirmed.at(-1), bytes.length);
    assert.ok(confirmed.every((at, index) => at > (confirmed[index - 1] ?? 0)));
    assert.equal(await held(channel), bytes.length);
    await channel.unary('putInstruction', signed(), { deadlineMs });
    const row = await sites.ps1.store.records(keySpaces.receivedInstructions).get('PS2-00000001');
    assert.equal(row?.file.fileHash, fileHash);
    const event = await sites.circle.audited('/waybill.v1.SiteTransfer/PutInstruction');
    assert.equal(event.result, 'ok');
    assert.equal(event.caller, 'waybill://site/PS2');
    assert.match(event.detail, /packageId=PS200001 sourceVersion=1 from=PS2 to=PS1/);
  });

  it('go on where they were cut, at whatever byte, and after the receiver was started again (REP-5)', async () => {
    let sentBytes = 0;
    for (let round = 0; round < 6; round++) {
      const channel = await sites.channel();
      const from = await held(channel);
      if (from === bytes.length) break;
      const to = round === 5 ? bytes.length : Math.min(bytes.length, from + 1 + randomInt(2 * mib));
      await put(channel, { from, to });
      sentBytes += to - from;
      if (round % 2 === 0) {
        await sites.stop();
        await sites.start();
      }
    }
    const channel = await sites.channel();
    if ((await held(channel)) < bytes.length) await put(channel, { from: await held(channel) });
    assert.ok(sentBytes <= bytes.length, 'no byte twice');
    assert.deepEqual(await readFile(sites.files.pathOf(fileHash)), bytes);
  });

  it('that are one bit off are refused, audited, reported; the good one goes through (REP-7)', async () => {
    const channel = await sites.channel();
    const content = Buffer.from(bytes);
    content[3 * mib] = (content[3 * mib] ?? 0) ^ 1;
    await assert.rejects(put(channel, { from: 0, content }), (error) =>
      isErrorWithCode(error, 'FILE_HASH_MISMATCH'),
    );
    const event = await sites.circle.audited('/waybill.v1.SiteTransfer/PutFile');
    assert.equal(event.result, 'FILE_HASH_MISMATCH');
    assert.match(event.detail, /packageId=PS200001/);
    const told = [];
    for await (const [, message] of sites.ps1.store.records(keySpaces.statusMessages).list()) {
      told.push(message.messageId);
    }
    assert.deepEqual(told, [4404]);
    assert.equal(await held(channel), 0);
    await put(channel, { from: 0 });
    assert.equal(await held(channel), bytes.length);
  });

  it('longer than promised, from a wrong byte, or without a word of the file are refused', async () => {
    const channel = await sites.channel();
    const isCode = (code: 'FILE_OFFSET_MISMATCH' | 'MESSAGE_INVALID') => (error: unknown) =>
      isErrorWithCode(error, code);
    await assert.rejects(put(channel, { from: 1 }), isCode('FILE_OFFSET_MISMATCH'));
    const longer = Buffer.concat([bytes, Buffer.alloc(10)]);
    const tooLong = put(channel, { from: 0, to: longer.length, content: longer });
    await assert.rejects(tooLong, isCode('MESSAGE_INVALID'));
    const nameless = channel.duplex('putFile', { deadlineMs });
    await nameless.write({ data: Buffer.from('abc') });
    await assert.rejects(nameless.read(), isCode('MESSAGE_INVALID'));
  });

  it('are confirmed while the sender waits for it', async () => {
    const channel = await sites.channel();
    const call = channel.duplex('putFile', { deadlineMs });
    await call.write({ file: offer, offset: 0, data: bytes.subarray(0, 10) });
    assert.equal((await call.read())?.heldBytes, '10');
    await call.write({ data: bytes.subarray(10, 15) });
    assert.equal((await call.read())?.heldBytes, '15');
    call.cancel();
    assert.equal(await held(channel), 15);
  });

  it('of two streams of one request only the later goes on', async () => {
    const channel = await sites.channel();
    const first = channel.duplex('putFile', { deadlineMs });
    await first.write({ file: offer, offset: 0, data: bytes.subarray(0, 10) });
    await first.read();
    const second = channel.duplex('putFile', { deadlineMs });
    await second.write({ file: offer, offset: 10, data: bytes.subarray(10, 20) });
    assert.equal((await second.read())?.heldBytes, '20');
    await assert.rejects(first.read(), (error) => isErrorWithCode(error, 'FILE_ALREADY_ARRIVING'));
    second.cancel();
  });

  it('that are refused say why at the sender, and in the audit trail (REP-7)', async () => {
    const channel = await sites.channel();
    await put(channel, { from: 0 });
    const forged = { ...signed(), packageSignature: Buffer.alloc(64, 7) };
    const error = await channel.unary('putInstruction', forged, { deadlineMs }).then(
      () => assert.fail('It was taken'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof WaybillError && error.details.code === 'INSTRUCTION_REFUSED');
    assert.equal(error.details.reason, 'source-signature');
    const event = await sites.circle.audited('/waybill.v1.SiteTransfer/PutInstruction');
    assert.equal(event.result, 'INSTRUCTION_REFUSED');
    assert.match(event.detail, /packageId=PS200001 .*signature of the source site is not right/);
    await channel.unary('putInstruction', signed(), { deadlineMs });
  });

  it('are taken from sites that are known here, and from nobody else (SEC-1)', async () => {
    const callers: PeerIdentity[] = [
      stranger,
      { kind: 'dp', dpId: 'PS1DP1' },
      { kind: 'admin', role: 'full', name: 'alice' },
    ];
    for (const caller of callers) {
      const channel = await sites.channel(caller);
      const isRefused = (error: unknown) => isErrorWithCode(error, 'PEER_NOT_ALLOWED');
      await assert.rejects(held(channel), isRefused);
      await assert.rejects(put(channel, { from: 0 }), isRefused);
      await assert.rejects(channel.unary('putInstruction', signed(), { deadlineMs }), isRefused);
    }
  });
});
