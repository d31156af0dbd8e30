import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { Level } from 'level';
import { TemporaryDirectory } from '../../testing/temporary-directory.ts';
import { checkTable } from './table-file.ts';

/** A table of LevelDB with some dozens of blocks. */
async function writtenTable(options: { compression: boolean }): Promise<Buffer> {
  await using directory = await TemporaryDirectory.create();
  const level = new Level(directory.path, options);
  await level.open(options);
  const batch = level.batch();
  for (let index = 0; index < 2_000; index++) batch.put(`key${index}`, `value ${index ** 3}`);
  await batch.write();
  // Written from the log into a table when it is opened again.
  await level.close();
  await level.open(options);
  await level.close();
  const name = (await readdir(directory.path)).find((file) => file.endsWith('.ldb')) ?? '';
  return readFile(directory.join(name));
}

describe('checkTable', () => {
  for (const compression of [true, false]) {
    describe(compression ? 'of a compressed table' : 'of a table that is not compressed', () => {
      let table: Buffer;
      before(async () => {
        table = await writtenTable({ compression });
      });

      it('finds nothing wrong with what LevelDB wrote', () => {
        assert.deepEqual(checkTable(table), []);
      });

      it('finds any changed byte before the footer, and the block it is in', () => {
        const footerBytes = 48;
        const offset = fc.nat(table.length - footerBytes - 1);
        fc.assert(
          fc.property(offset, fc.integer({ min: 1, max: 255 }), (at, mask) => {
            const damaged = Buffer.from(table);
            damaged[at] = (damaged[at] ?? 0) ^ mask;
            const [fault, ...others] = checkTable(damaged);
            assert.deepEqual(others, []);
            // The checksum stands behind the type.
            assert(fault?.typeOffset !== undefined && fault.typeOffset >= at - 4);
          }),
        );
      });

      it('finds a cut, wherever', () => {
        fc.assert(
          fc.property(fc.nat(table.length - 1), (length) => {
            assert.notDeepEqual(checkTable(table.subarray(0, length)), []);
          }),
        );
      });
    });
  }

  it('finds fault with whatever is no table, and does not fall over it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.notDeepEqual(checkTable(Buffer.from(bytes)), []);
      }),
    );
  });
});
