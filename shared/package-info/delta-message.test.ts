import assert from 'node:assert/strict';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { OfferDeltasRequest__Output } from '../rpc/generated/waybill/v1/OfferDeltasRequest.ts';
import { methodDefinition } from '../rpc/service-definitions.ts';
import {
  deltaMessageLength,
  requireDeltas,
  toDeltaMessage,
  toldDeltaCountMax,
} from './delta-message.ts';

const mib = 1024 * 1024;
const delta: Delta = {
  ...{
    fileHash: 'ab'.repeat(32),
    fileBytes: 2 ** 43,
    baseHash: 'cd'.repeat(32),
    baseBytes: 2 ** 43,
  },
  ...{ deltaHash: 'ef'.repeat(32), deltaBytes: 2 * mib, deltaPieceHashes: '01'.repeat(64) },
};
const { requestSerialize, requestDeserialize } = methodDefinition(
  'DistributionPoint',
  'offerDeltas',
);

function arrived(deltas: readonly object[]) {
  const request = requestDeserialize(requestSerialize({ deltas }));
  return (request as OfferDeltasRequest__Output).deltas;
}

describe('a delta on the wire', () => {
  it('comes as it was sent, and is no longer than was said', () => {
    assert.deepEqual(requireDeltas(arrived([toDeltaMessage(delta)])), [delta]);
    const length = requestSerialize({ deltas: [toDeltaMessage(delta)] }).length;
    assert.ok(length <= deltaMessageLength(delta));
  });

  it('is refused when it cannot be one (SEC-4)', () => {
    const message = toDeltaMessage(delta);
    for (const change of [
      { fileHash: Buffer.alloc(31) },
      { baseHash: Buffer.alloc(0) },
      { deltaHash: Buffer.alloc(33) },
      { fileBytes: 0 },
      { baseBytes: '18446744073709551615' },
      { deltaBytes: 0 },
      { deltaPieceHashes: Buffer.alloc(32) },
      { deltaBytes: 100 },
    ]) {
      const refused = () => requireDeltas(arrived([{ ...message, ...change }]));
      assert.throws(refused, (error) => isErrorWithCode(error, 'MESSAGE_INVALID'));
    }
    const many = Array.from({ length: toldDeltaCountMax + 1 }, () => arrived([message])[0]);
    const refused = () => requireDeltas(many as never);
    assert.throws(refused, (error) => isErrorWithCode(error, 'MESSAGE_INVALID'));
  });
});
