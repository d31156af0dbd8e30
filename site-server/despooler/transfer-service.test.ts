import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { PackageFileHeld } from '../../shared/rpc/generated/waybill/v1/PackageFileHeld.ts';
import type { PackageFilePart__Output } from '../../shared/rpc/generated/waybill/v1/PackageFilePart.ts';
import { type ReceiverLife, TestReceiver, until } from './testing/test-receiver.ts';

const bytes = Buffer.alloc(1_000, 7);

describe('transfer service', () => {
  let receiver: TestReceiver;
  let life: ReceiverLife;
  beforeEach(async () => {
    receiver = await TestReceiver.create();
    life = await receiver.start();
  });
  afterEach(() => receiver[Symbol.asyncDispose]());

  const context: CallContext = {
    caller: { identity: { kind: 'site', siteCode: 'CS1' }, address: '192.0.2.1:1' },
    signal: new AbortController().signal,
    describe: () => {},
  };
  const file = {
    ...{ requestId: '1', fileHash: Buffer.from(hashOf(bytes), 'hex'), fileBytes: '1000' },
    ...{ packageId: 'CS100001', sourceVersion: 1, finalSiteCode: 'PS1' },
  };
  const silence = new Promise<never>(() => {});

  it('does not hold a place for a stream that has fallen silent (REP-7)', async () => {
    const parts = async function* () {
      yield { file, offset: '0', data: bytes.subarray(0, 100) };
      await silence;
    };
    const held: string[] = [];
    const messages = parts() as AsyncIterable<PackageFilePart__Output>;
    const stream = (async () => {
      for await (const answer of life.service.conversation().putFile(messages, context)) {
        held.push(`${(answer as PackageFileHeld).heldBytes}`);
      }
    })();
    const ended = assert.rejects(stream, (error) => isErrorWithCode(error, 'DEADLINE_EXCEEDED'));
    await until(() => held.includes('100'));
    await receiver.clock.advance(120_000);
    await ended;
    const another = { siteCode: 'CS1', requestId: '2' };
    const facts = { fileHash: hashOf(bytes), fileBytes: bytes.length };
    assert.equal(await life.files.offer(facts, another), 100, 'what has come stays');
    assert.equal(life.service.receivedBytes, 100);
  });
});
