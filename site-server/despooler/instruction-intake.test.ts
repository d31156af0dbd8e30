import assert from 'node:assert/strict';
import { truncate } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type {
  InstructionRefusal,
  PackageInstruction,
} from '../../shared/domain/site-instruction.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { SignedInstructionParts } from '../site-identity/instructions.ts';
import { TestIdentity } from '../site-identity/testing/test-identity.ts';
import { type ReceiverLife, TestReceiver, until } from './testing/test-receiver.ts';

const minuteMs = 60_000;

describe('Instructions of other sites', () => {
  let receiver: TestReceiver;
  let life: ReceiverLife;
  let described: string[];

  beforeEach(async () => {
    receiver = await TestReceiver.create();
    // Nothing is carried out while its metadata is not here.
    life = await receiver.start();
    described = [];
  });
  afterEach(() => receiver[Symbol.asyncDispose]());

  const context = (siteCode = 'CS1'): CallContext => ({
    caller: { identity: { kind: 'site', siteCode }, address: '192.0.2.1:1' },
    signal: new AbortController().signal,
    describe: (asked) => described.push(asked),
  });
  const put = (signed: SignedInstructionParts, peer?: string) =>
    life.service
      .conversation()
      .putInstruction(
        { ...signed } as Parameters<
          ReturnType<typeof life.service.conversation>['putInstruction']
        >[0],
        context(peer),
      );
  const order = (facts?: Partial<PackageInstruction>) => receiver.order(facts);

  /** It is refused for that reason and everybody can see so; the good one after it goes through. */
  const assertRefused = async (
    signed: SignedInstructionParts,
    reason: InstructionRefusal | 'VERSION_DOWNGRADE' | 'MESSAGE_INVALID',
    peer?: string,
  ) => {
    const before = await receiver.statusMessages(4404);
    const error = await put(signed, peer).then(
      () => assert.fail('It was taken'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof WaybillError, String(error));
    const { details } = error;
    assert.equal(details.code === 'INSTRUCTION_REFUSED' ? details.reason : details.code, reason);
    const told = (await receiver.statusMessages(4404)).slice(before.length);
    assert.equal(told.length, 1);
    assert.equal(told[0]?.insertionStrings[3], error.message);
    assert.equal(told[0]?.insertionStrings[2], peer ?? 'CS1');
    assert.ok(described.at(-1)?.includes(error.message), 'the audit trail says why');
    const jobs = await receiver.waitingJobs();
    assert.deepEqual(jobs, [], 'nothing has changed');
    const good = receiver.sign(await order());
    await put(good);
    assert.deepEqual(await receiver.waitingJobs(), ['CS1-CS100001.1']);
    assert.match(described.at(-1) ?? '', /packageId=CS100001 sourceVersion=1 from=CS1 to=PS1/);
  };

  it('are taken, on disk before they are answered, and wake the Despooler (REP-6)', async () => {
    const signed = receiver.sign(await order());
    await put(signed);
    const row = await receiver.store.records(keySpaces.receivedInstructions).get('CS1-CS100001.1');
    assert.equal(row?.packageId, 'CS100001');
    assert.equal(row?.sendingSiteCode, 'CS1');
    await until(() => life.despooler.list()[0]?.state === 'waiting');
    assert.equal(life.despooler.list()[0]?.jobId, 'CS1-CS100001.1');
  });

  it('with a signature that is not right are refused (REP-7)', async () => {
    const signed = receiver.sign(await order());
    const transferSignature = Buffer.from(signed.transferSignature);
    transferSignature[3] = (transferSignature[3] ?? 0) ^ 1;
    await assertRefused({ ...signed, transferSignature }, 'sender-signature');
  });

  it('that were changed after they were signed are refused (REP-7)', async () => {
    const signed = receiver.sign(await order());
    const transfer = Buffer.from(signed.transfer);
    // The last byte is one of the hash: it can be read still.
    transfer[transfer.length - 1] = (transfer[transfer.length - 1] ?? 0) ^ 1;
    await assertRefused({ ...signed, transfer }, 'sender-signature');
  });

  it('with a key that the sending site does not have are refused (REP-7)', async () => {
    const signed = receiver.sign(await order(), { sender: receiver.cs2 });
    await assertRefused(signed, 'sender-key-unknown');
  });

  it('of a site that nobody knows are refused (REP-7)', async () => {
    const { clock, authority } = receiver;
    await using stranger = await TestIdentity.open({ siteCode: 'XX9', clock, authority });
    const transfer = { sendingSiteCode: 'XX9' };
    const signed = receiver.sign(await order(), { sender: stranger, transfer });
    await assertRefused(signed, 'sender-key-unknown');
  });

  it('that another site signed than sends them are refused (REP-7)', async () => {
    await assertRefused(receiver.sign(await order()), 'other-sender', 'CS2');
  });

  it('for another site are refused (REP-7)', async () => {
    const transfer = { destinationSiteCode: 'CS2' };
    await assertRefused(receiver.sign(await order(), { transfer }), 'other-destination');
  });

  for (const [when, byMs] of [
    ['too long ago', -10 * minuteMs - 1],
    ['in the future', 10 * minuteMs + 1],
  ] as const) {
    it(`that were signed ${when} are refused (REP-7)`, async () => {
      const transfer = { signedAtMs: receiver.clock.nowMs() + byMs };
      await assertRefused(receiver.sign(await order(), { transfer }), 'not-fresh');
    });
  }

  it('that use the nonce of another one are refused (REP-7)', async () => {
    const transfer = { nonce: 'ab'.repeat(16) };
    await put(receiver.sign(await order({ packageId: 'CS100002' }), { transfer }));
    const { store } = receiver;
    const rows = store.records(keySpaces.receivedInstructions);
    await store.write([rows.delete('CS1-CS100002.1')], { sync: false });
    await assertRefused(receiver.sign(await order(), { transfer }), 'replayed');
  });

  it('whose parts do not belong together are refused (REP-7)', async () => {
    const other = receiver.sign(await order({ packageId: 'CS100002' }));
    const signed = receiver.sign(await order());
    const mixed = {
      ...signed,
      package: other.package,
      packageSignature: other.packageSignature,
    };
    await assertRefused(mixed, 'package-instruction-hash');
  });

  it('of a package that its source site did not sign are refused (REP-7)', async () => {
    const signed = receiver.sign(await order(), { source: receiver.cs2 });
    await assertRefused(signed, 'source-key-unknown');
  });

  it('with a signature of the source site that is not right are refused (REP-7)', async () => {
    const signed = receiver.sign(await order());
    const packageSignature = Buffer.from(signed.transferSignature);
    await assertRefused({ ...signed, packageSignature }, 'source-signature');
  });

  it('of a site for the package of another one are refused (REP-7)', async () => {
    const foreign = await order({ sourceSiteCode: 'CS2', jobId: 'CS2-1' });
    const signed = receiver.sign(foreign, {
      sender: receiver.cs2,
      source: receiver.cs2,
      transfer: { sendingSiteCode: 'CS2' },
    });
    await assertRefused(signed, 'source-not-owner', 'CS2');
  });

  it('that the source site signed in the future are refused (REP-7)', async () => {
    const createdAtMs = receiver.clock.nowMs() + 10 * minuteMs + 1;
    await assertRefused(receiver.sign(await order({ createdAtMs })), 'created-in-future');
  });

  it('that have expired are refused (REP-7)', async () => {
    const nowMs = receiver.clock.nowMs();
    const old = await order({ createdAtMs: nowMs - 2, expiresAtMs: nowMs });
    await assertRefused(receiver.sign(old), 'expired');
  });

  it('without their package file are refused (REP-7)', async () => {
    const file = { fileHash: 'ab'.repeat(32), fileBytes: 7 };
    await assertRefused(receiver.sign(await order({ file })), 'file-not-here');
  });

  it('with a package file of another size are refused (REP-7)', async () => {
    const real = await order({ packageId: 'CS100002' });
    const file = { ...real.file, fileBytes: real.file.fileBytes + 1 };
    await assertRefused(receiver.sign(await order({ file })), 'file-size');
    await truncate(receiver.packageFiles.pathOf(real.file.fileHash), 1);
    await assert.rejects(put(receiver.sign(real)), WaybillError);
  });

  it('of a version lower than the one stored are refused (REP-7)', async () => {
    const packageId = 'CS100002';
    store(packageId, 5);
    const signed = receiver.sign(await order({ packageId, sourceVersion: 4 }));
    await assertRefused(signed, 'VERSION_DOWNGRADE');
  });

  it('with other content under the version that is stored are refused (REP-7)', async () => {
    const packageId = 'CS100002';
    store(packageId, 5);
    const other = { packageId, sourceVersion: 5, packageHash: hashOf(Buffer.from('other')) };
    await assertRefused(receiver.sign(await order(other)), 'other-content');
  });

  it('for a final site that nobody knows are refused (REP-7)', async () => {
    const signed = receiver.sign(await order({ finalSiteCode: 'XX9' }));
    await assertRefused(signed, 'final-site-unknown');
  });

  it('that would go back to where they come from are refused (REP-7)', async () => {
    await assertRefused(receiver.sign(await order({ finalSiteCode: 'CS1' })), 'final-site-unknown');
  });

  for (const [what, broken] of Object.entries<
    (s: SignedInstructionParts) => Partial<SignedInstructionParts>
  >({
    'no transfer': () => ({ transfer: Buffer.alloc(0) }),
    'an endless transfer': () => ({ transfer: Buffer.alloc(5_000, 1) }),
    'garbage for a package': () => ({ package: Buffer.alloc(40, 0xff) }),
    'its two parts exchanged': (signed) => ({ transfer: signed.package, package: signed.transfer }),
    'a short signature': () => ({ packageSignature: Buffer.alloc(63) }),
    'a key name that is none': () => ({ transferKeyId: '../secret' }),
  })) {
    it(`with ${what} are refused (REP-7)`, async () => {
      const signed = receiver.sign(await order());
      await assertRefused({ ...signed, ...broken(signed) }, 'MESSAGE_INVALID');
    });
  }

  it('are answered the same when they come again, and are there once', async () => {
    const signed = receiver.sign(await order());
    await put(signed);
    await put(signed);
    await put(receiver.sign(await order()));
    assert.deepEqual(await receiver.waitingJobs(), ['CS1-CS100001.1']);
    assert.deepEqual(await receiver.statusMessages(4404), []);
  });

  it('that were carried out already are answered the same, without their file', async () => {
    await receiver.metadata();
    const signed = receiver.sign(await order());
    await put(signed);
    await until(async () => (await receiver.content())?.state === 'stored');
    await put(signed);
    const file = { fileHash: 'cd'.repeat(32), fileBytes: 5 };
    await put(receiver.sign(await order({ file })));
    await until(async () => (await receiver.waitingJobs()).length === 0);
    assert.equal(receiver.library.commitCount, 1);
    assert.equal((await receiver.statusMessages(4400)).length, 1);
  });

  it('are still known as seen after a restart, and forgotten when they are not fresh', async () => {
    const transfer = { nonce: 'ab'.repeat(16) };
    const signed = receiver.sign(await order(), { transfer });
    await put(signed);
    await life.stop();
    life = await receiver.start();
    await put(signed);
    const other = receiver.sign(await order({ packageId: 'CS100002' }), { transfer });
    await assert.rejects(put(other), /same nonce/);
    await receiver.clock.advance(20 * minuteMs);
    await put(receiver.sign(await order({ packageId: 'CS100003' })));
    const seen = [];
    for await (const [key] of receiver.store.records(keySpaces.seenInstructions).list()) {
      seen.push(key);
    }
    assert.equal(seen.length, 1);
  });

  it('are taken while the key that signed the package is being retired (REP-6)', async () => {
    const early = await order();
    const signed = receiver.sign(early);
    await receiver.clock.advance(minuteMs);
    await receiver.cs1.keeper.rotate();
    await receiver.own.learn('CS1', await receiver.cs1.row());
    await receiver.clock.advance(minuteMs);
    // The hop is signed with the new key, the package was with the old one.
    const hop = receiver.sign(early);
    const parts = {
      ...hop,
      packageSignature: signed.packageSignature,
      packageKeyId: signed.packageKeyId,
    };
    await put(parts);
    assert.deepEqual(await receiver.waitingJobs(), [early.jobId]);
  });

  it('with a key that retired before they were signed are refused (REP-7)', async () => {
    await receiver.clock.advance(minuteMs);
    const stolen = receiver.sign(
      await order({ createdAtMs: receiver.clock.nowMs() + 5 * minuteMs }),
      { transfer: { signedAtMs: receiver.clock.nowMs() + 5 * minuteMs } },
    );
    await receiver.cs1.keeper.rotate();
    await receiver.own.learn('CS1', await receiver.cs1.row());
    await assertRefused(stolen, 'sender-key-retired');
  });

  it('are put off when more come of one site than can be remembered', async () => {
    const seenMax = 2;
    await life.stop();
    life = await receiver.start({}, { seenMax });
    const of = async (packageId: string) => receiver.sign(await order({ packageId }));
    await put(await of('CS100001'));
    await put(await of('CS100002'));
    const third = await of('CS100003');
    await assert.rejects(put(third), (error) => isErrorWithCode(error, 'RECEIVER_BUSY'));
    assert.equal((await receiver.waitingJobs()).length, 2);
    await receiver.clock.advance(20 * minuteMs);
    await put(await of('CS100003'));
    assert.equal((await receiver.waitingJobs()).length, 3);
  });

  it('of one site are put off when too many of them are not carried out yet', async () => {
    await put(receiver.sign(await order()));
    await life.stop();
    life = await receiver.start({}, { waitingMax: 2 });
    await put(receiver.sign(await order({ packageId: 'CS100002' })));
    const third = receiver.sign(await order({ packageId: 'CS100003' }));
    await assert.rejects(put(third), (error) => isErrorWithCode(error, 'RECEIVER_BUSY'));
    await receiver.metadata();
    await until(async () => (await receiver.waitingJobs()).length === 1);
    await put(third);
  });

  it('are put off when too many packages of one site are to be passed on to another one already', async () => {
    await life.stop();
    life = await receiver.start({}, { forwardedMax: 2 });
    const of = async (packageId: string) =>
      receiver.sign(await order({ packageId, finalSiteCode: 'SS1' }));
    for (const packageId of ['CS100001', 'CS100002']) await put(await of(packageId));
    const jobs = receiver.store.records(keySpaces.miniJobs);
    const isPassedOn = async () => (await receiver.waitingJobs()).length === 0;
    await until(isPassedOn);
    const third = await of('CS100003');
    const isBusy = (error: unknown) => isErrorWithCode(error, 'RECEIVER_BUSY');
    await assert.rejects(put(third), isBusy);
    await life.stop();
    life = await receiver.start({}, { forwardedMax: 2 });
    await assert.rejects(put(third), isBusy, 'after a restart, too');
    await put(receiver.sign(await order({ packageId: 'CS100004' })));
    await receiver.store.write([jobs.delete('CS1-CS100001.1')], { sync: true });
    await put(third);
  });

  it('are refused when they would be valid for longer than 90 days (REP-7)', async () => {
    const expiresAtMs = receiver.clock.nowMs() + 91 * 86_400_000;
    await assertRefused(receiver.sign(await order({ expiresAtMs })), 'valid-too-long');
  });

  it('are refused when their file is offered already, before it is sent (REP-7)', async () => {
    store('CS100002', 5);
    const offer = (facts: object) =>
      life.service.conversation().offerFile(
        {
          ...{ requestId: '1', fileHash: Buffer.alloc(32, 1), fileBytes: '10' },
          ...{ packageId: 'CS100002', sourceVersion: 6, finalSiteCode: 'PS1', ...facts },
        },
        context(),
      );
    await assert.rejects(offer({ sourceVersion: 4 }), /version 5 is served/);
    await assert.rejects(offer({ finalSiteCode: 'XX9' }), /no way from here/);
    const told = await receiver.statusMessages(4404);
    assert.deepEqual(
      told.map(({ packageId, sourceVersion }) => [packageId, sourceVersion]),
      [
        ['CS100002', 4],
        ['CS100002', 6],
      ],
    );
    assert.match(described[0] ?? '', /sourceVersion=4 final=PS1; .*version 5 is served/);
    assert.deepEqual(await offer({}), { heldBytes: 0 });
  });

  it('that are refused over and over do not fill the status messages', async () => {
    const signed = receiver.sign(await order({ finalSiteCode: 'XX9' }));
    for (let time = 0; time < 30; time++) await assert.rejects(put(signed));
    assert.equal((await receiver.statusMessages(4404)).length, 20);
  });

  it('come from sites of the hierarchy only, by their certificates', async () => {
    const signed = receiver.sign(await order());
    for (const peer of ['XX9', 'PS1']) {
      await assert.rejects(put(signed, peer), (error) =>
        isErrorWithCode(error, 'PEER_NOT_ALLOWED'),
      );
    }
    assert.deepEqual(await receiver.waitingJobs(), []);
  });

  /** A version is in the library already. */
  function store(packageId: string, sourceVersion: number): void {
    receiver.library.packages.set(packageId, receiver.versionOf(packageId, sourceVersion));
  }
});
