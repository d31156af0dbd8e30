import assert from 'node:assert/strict';
import { hashOf } from './content-hash.ts';
import { VerifiedFiles } from './verified-files.ts';

describe('verified files', () => {
  const hashes = Array.from({ length: 5_000 }, (_, index) => hashOf(Buffer.from(String(index))));

  it('knows what was added and nothing else, however many there are', () => {
    const verified = new VerifiedFiles();
    const [added, others] = [hashes.slice(0, 4_000), hashes.slice(4_000)];
    for (const hash of [...added, ...added]) verified.add(hash);
    assert.ok(added.every((hash) => verified.has(hash)));
    assert.ok(!others.some((hash) => verified.has(hash)));
  });

  it('tells hashes apart that want the same place', () => {
    const verified = new VerifiedFiles();
    const alike = ['1', '2', '3'].map((digit) => `0000000a${digit.repeat(56)}`);
    for (const hash of alike.slice(0, 2)) verified.add(hash);
    assert.deepEqual(
      alike.map((hash) => verified.has(hash)),
      [true, true, false],
    );
  });

  it('never takes an empty place for a hash', () => {
    const verified = new VerifiedFiles();
    const zeros = '0'.repeat(64);
    assert.equal(verified.has(zeros), false);
    verified.add(zeros);
    assert.equal(verified.has(zeros), false);
  });

  it('keeps the newest and forgets the oldest when there are too many', () => {
    const verified = new VerifiedFiles(1_000);
    for (const hash of hashes) verified.add(hash);
    assert.ok(hashes.slice(-1_000).every((hash) => verified.has(hash)));
    assert.ok(!hashes.slice(0, 3_000).some((hash) => verified.has(hash)));
  });
});
