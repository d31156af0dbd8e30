import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type {
  PackageInstruction,
  TransferInstruction,
} from '../../shared/domain/site-instruction.ts';
import {
  decodeSignedInstruction,
  encodePackageInstruction,
  encodeSignedInstruction,
  encodeTransferInstruction,
  parsePackageInstruction,
  parseTransferInstruction,
} from './instructions.ts';

const hash = 'ab'.repeat(32);
const transfer: TransferInstruction = {
  requestId: '0000002ACS1',
  sendingSiteCode: 'CS1',
  destinationSiteCode: 'PS1',
  signedAtMs: 1_700_000_000_000,
  nonce: '01'.repeat(16),
  packageInstructionHash: hash,
};
const order: PackageInstruction = {
  jobId: 'CS1-0000002A',
  sourceSiteCode: 'CS1',
  finalSiteCode: 'PS1',
  packageId: 'CS100001',
  sourceVersion: 2,
  baseVersion: 1,
  file: { fileHash: hash, fileBytes: 4_096 },
  packageHash: 'cd'.repeat(32),
  priority: 2,
  createdAtMs: 1_700_000_000_000,
  expiresAtMs: 1_700_000_600_000,
};

describe('Instructions as bytes', () => {
  const isInvalid = (error: unknown) => isErrorWithCode(error, 'MESSAGE_INVALID');

  it('say the same when they are read, and equal ones are equal bytes', () => {
    assert.deepEqual(parseTransferInstruction(encodeTransferInstruction(transfer)), transfer);
    assert.deepEqual(parsePackageInstruction(encodePackageInstruction(order)), order);
    const full = { ...order, baseVersion: 0 };
    assert.deepEqual(parsePackageInstruction(encodePackageInstruction(full)), full);
    assert.deepEqual(encodePackageInstruction(order), encodePackageInstruction({ ...order }));
  });

  const wrongTransfers: Record<string, Partial<TransferInstruction>> = {
    'an empty request ID': { requestId: '' },
    'a request ID with a slash': { requestId: 'a/b' },
    'a long request ID': { requestId: 'a'.repeat(65) },
    'no sending site': { sendingSiteCode: '' },
    'a destination that is no site code': { destinationSiteCode: 'ps1' },
    'no time': { signedAtMs: 0 },
    'a short nonce': { nonce: '01'.repeat(15) },
    'a long nonce': { nonce: '01'.repeat(65) },
    'a short hash': { packageInstructionHash: 'ab'.repeat(31) },
  };
  for (const [what, wrong] of Object.entries(wrongTransfers)) {
    it(`of a hop are refused with ${what}`, () => {
      const bytes = encodeTransferInstruction({ ...transfer, ...wrong });
      assert.throws(() => parseTransferInstruction(bytes), isInvalid);
    });
  }

  const wrongOrders: Record<string, Partial<PackageInstruction>> = {
    'the job of another site': { jobId: 'PS9-0000002A' },
    'a job ID with a slash': { jobId: 'CS1-/' },
    'no source site': { sourceSiteCode: '' },
    'no final site': { finalSiteCode: 'PS10' },
    'no package': { packageId: 'CS1' },
    'version 0': { sourceVersion: 0, baseVersion: 0 },
    'a base that is not older': { baseVersion: 2 },
    'an empty file': { file: { fileHash: hash, fileBytes: 0 } },
    'a short file hash': { file: { fileHash: 'ab', fileBytes: 1 } },
    'a long package hash': { packageHash: 'ab'.repeat(33) },
    'no priority': { priority: 0 as 1 },
    'priority 4': { priority: 4 as 1 },
    'no time of creation': { createdAtMs: 0 },
    'an end before its beginning': { expiresAtMs: order.createdAtMs },
  };
  for (const [what, wrong] of Object.entries(wrongOrders)) {
    it(`of a package are refused with ${what}`, () => {
      const bytes = encodePackageInstruction({ ...order, ...wrong });
      assert.throws(() => parsePackageInstruction(bytes), isInvalid);
    });
  }

  it('cannot be read as the other kind, so that a signature is good for one only (REP-7)', () => {
    const hop = encodeTransferInstruction(transfer);
    const whole = encodePackageInstruction(order);
    assert.throws(() => parsePackageInstruction(hop), isInvalid);
    assert.throws(() => parseTransferInstruction(whole), isInvalid);
  });

  it('are refused, not trusted, whatever bytes come (seeded)', () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    const isRefused = (parse: (bytes: Uint8Array) => unknown, any: Uint8Array) => {
      try {
        parse(any);
        return false;
      } catch (error) {
        return isInvalid(error);
      }
    };
    fc.assert(
      fc.property(
        bytes,
        (any) =>
          isRefused(parseTransferInstruction, any) && isRefused(parsePackageInstruction, any),
      ),
      { seed: 5, numRuns: 500 },
    );
    assert.throws(() => parseTransferInstruction(Buffer.alloc(5_000)), isInvalid);
  });

  it('are kept with their signatures, byte for byte', () => {
    const parts = {
      transfer: encodeTransferInstruction(transfer),
      transferSignature: Buffer.alloc(64, 1),
      transferKeyId: '0123456789abcdef',
      package: encodePackageInstruction(order),
      packageSignature: Buffer.alloc(64, 2),
      packageKeyId: 'fedcba9876543210',
    };
    assert.deepEqual({ ...decodeSignedInstruction(encodeSignedInstruction(parts)) }, parts);
    const short = { ...parts, packageSignature: Buffer.alloc(63) };
    assert.throws(() => decodeSignedInstruction(encodeSignedInstruction(short)), isInvalid);
  });
});
