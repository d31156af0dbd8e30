import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { WantedEntries } from './wanted-entries.ts';

const none = new Uint8Array(0);
const gib = 1024 ** 3;
const isInvalid = (field: string) => (error: unknown) =>
  isErrorWithCode(error, 'MESSAGE_INVALID') &&
  error.details.code === 'MESSAGE_INVALID' &&
  error.details.field === field;

describe('wanted entries', () => {
  it('are those that were added, asked in order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(300)), (indices) => {
        const wanted = new WantedEntries({ entryCount: 301, sizeBytes: 0 });
        for (const index of indices.sort((a, b) => a - b)) wanted.add(index, none);
        const isNext = wanted.cursor();
        const found = Array.from({ length: 301 }, (_, index) => index).filter(isNext);
        assert.deepEqual(found, indices);
        assert.equal(wanted.count, indices.length);
      }),
    );
  });

  it('may be more than one block, and be read more than once', () => {
    const entryCount = 200_000;
    const wanted = new WantedEntries({ entryCount, sizeBytes: 0 });
    for (let index = 0; index < entryCount; index += 2) wanted.add(index, none);
    for (let time = 0; time < 2; time++) {
      const isNext = wanted.cursor();
      let count = 0;
      for (let index = 0; index < entryCount; index++) if (isNext(index)) count += 1;
      assert.equal(count, entryCount / 2);
    }
  });

  it('remember which pieces are held', () => {
    const wanted = new WantedEntries({ entryCount: 3, sizeBytes: gib });
    wanted.add(0, none);
    wanted.add(2, Uint8Array.of(5));
    assert.equal(wanted.piecesHeldOf(0), undefined);
    assert.deepEqual(wanted.piecesHeldOf(2), Uint8Array.of(5));
  });

  it('are refused when they do not rise or are not of the content (SEC-4)', () => {
    for (const index of [-1, 0.5, 3, 10, Number.NaN, Number.POSITIVE_INFINITY]) {
      const wanted = new WantedEntries({ entryCount: 3, sizeBytes: 0 });
      assert.throws(() => wanted.add(index, none), isInvalid('files.entry_index'), String(index));
    }
    const wanted = new WantedEntries({ entryCount: 3, sizeBytes: 0 });
    wanted.add(1, none);
    for (const index of [0, 1]) {
      assert.throws(() => wanted.add(index, none), isInvalid('files.entry_index'));
    }
    wanted.add(2, none);
  });

  it('take no more memory than the content has pieces (SEC-4)', () => {
    const wanted = new WantedEntries({ entryCount: 2, sizeBytes: gib });
    wanted.add(0, new Uint8Array(128));
    assert.throws(() => wanted.add(1, new Uint8Array(3)), isInvalid('files.pieces_held'));
  });

  it('miss no more than the content has (SEC-4)', () => {
    const wanted = new WantedEntries({ entryCount: 2, sizeBytes: 100 });
    wanted.addMissing(60);
    wanted.addMissing(40);
    for (const bytes of [1, -1, Number.NaN]) {
      assert.throws(() => wanted.addMissing(bytes), isInvalid('missing_bytes'));
    }
  });
});
