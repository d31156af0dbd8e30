import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { Level } from 'level';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { readLog, toLog } from './log-file.ts';

/** The bytes of a log that LevelDB wrote: one record for each size. */
async function writtenLog(recordBytes: readonly number[]): Promise<Buffer> {
  await using directory = await TemporaryDirectory.create();
  const level = new Level(directory.path);
  for (const [index, length] of recordBytes.entries())
    await level.put(`${index}`, 'x'.repeat(length));
  await level.close();
  const name = (await readdir(directory.path)).find((file) => file.endsWith('.log')) ?? '';
  return readFile(directory.join(name));
}

describe('readLog', () => {
  // From less than a block to records that are cut into three fragments.
  const recordBytes = [10, 30_000, 5_000, 70_000, 1, 32_768 - 7, 400];
  let log: Buffer;
  before(async () => {
    log = await writtenLog(recordBytes);
  });

  it('reads every record LevelDB wrote', () => {
    const { records, damage } = readLog(log);
    assert.equal(damage, undefined);
    assert.deepEqual(
      records.map((record) => record.toString('latin1').match(/x*$/)?.[0].length),
      recordBytes,
    );
  });

  it('writes what LevelDB writes', () => {
    assert(toLog(readLog(log).records).equals(log));
  });

  it('reads what it has written', () => {
    const record = fc.oneof(fc.nat(100), fc.integer({ min: 32_700, max: 32_780 }), fc.nat(100_000));
    fc.assert(
      fc.property(fc.array(record, { maxLength: 6 }), (lengths) => {
        const records = lengths.map((length) => Buffer.alloc(length, length));
        const log = toLog(records);
        assert.deepEqual(readLog(log), { records, isTorn: false, damage: undefined });
      }),
    );
  });

  it('takes a missing end as what a crash leaves, wherever it was cut', () => {
    const whole = readLog(log).records;
    fc.assert(
      fc.property(fc.nat(log.length), (length) => {
        const { records, damage } = readLog(log.subarray(0, length));
        assert.equal(damage, undefined);
        assert.deepEqual(records, whole.slice(0, records.length));
      }),
    );
  });

  it('takes zeroes at the end as what a power cut leaves', () => {
    const torn = Buffer.concat([log, Buffer.alloc(100_000)]);
    assert.deepEqual(readLog(torn), { ...readLog(log), isTorn: true });
  });

  it('calls any changed byte before the last record damage, and gives only whole records', () => {
    const lastRecordStart = log.length - 400 - 50;
    const lastBlockStart = log.length - (log.length % (32 * 1024));
    fc.assert(
      fc.property(fc.nat(lastRecordStart), fc.integer({ min: 1, max: 255 }), (offset, mask) => {
        const damaged = Buffer.from(log);
        damaged[offset] = (damaged[offset] ?? 0) ^ mask;
        const { records, damage, isTorn } = readLog(damaged);
        // The few zeroes that fill the end of a block belong to no record.
        const whole = readLog(log).records;
        if (damage !== undefined) assert(records.length < whole.length);
        // A wrong length in the last block hides all behind it: as if it had been cut off there.
        else if (isTorn) assert(offset >= lastBlockStart);
        else assert.deepEqual(records, whole);
        for (const record of records) assert(whole.some((known) => known.equals(record)));
      }),
    );
  });

  it('reads nothing from an empty file', () => {
    assert.deepEqual(readLog(Buffer.alloc(0)), { records: [], isTorn: false, damage: undefined });
  });
});
