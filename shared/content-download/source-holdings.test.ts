import assert from 'node:assert/strict';
import { isErrorWithCode } from '../domain/errors.ts';
import { SourceHoldings } from './source-holdings.ts';

const message = (firstUnit: string, ...units: number[]) => ({
  complete: false,
  firstUnit,
  units: Uint8Array.from(units),
});
const heldIn = (holdings: SourceHoldings) =>
  [...Array(holdings.unitCount).keys()].filter((unit) => holdings.has(unit));

describe('holdings of a source', () => {
  it('are what it has spoken of, as it said it last', () => {
    const holdings = new SourceHoldings(20);
    assert.deepEqual(heldIn(holdings), []);
    assert.deepEqual(holdings.apply(message('8', 0b101)), { firstUnit: 8, endUnit: 16 });
    assert.deepEqual(heldIn(holdings), [8, 10]);
    holdings.apply(message('8', 0b110, 0b1000));
    assert.deepEqual(heldIn(holdings), [9, 10, 19]);
  });

  it('are everything once it says so, but for what it lacks after all', () => {
    const holdings = new SourceHoldings(10);
    holdings.apply({ ...message('0'), complete: true });
    assert.equal(holdings.isComplete, true);
    assert.equal(heldIn(holdings).length, 10);
    holdings.lacks(4);
    assert.equal(holdings.isComplete, false);
    assert.deepEqual(heldIn(holdings), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    holdings.clear();
    assert.deepEqual(heldIn(holdings), []);
  });

  it('tell nothing of units that were never spoken of', () => {
    const holdings = new SourceHoldings(10);
    holdings.lacks(4);
    assert.deepEqual(heldIn(holdings), []);
  });

  const nonsense = ['-8', '4', '16', '1e300', '18446744073709551608', 'x', ''];
  for (const firstUnit of nonsense.filter((text) => text !== '')) {
    it(`refuse a beginning at "${firstUnit}"`, () => {
      const holdings = new SourceHoldings(10);
      assert.throws(
        () => holdings.apply(message(firstUnit, 1)),
        (error) => isErrorWithCode(error, 'MESSAGE_INVALID'),
      );
      assert.deepEqual(heldIn(holdings), []);
    });
  }

  it('refuse more units than the content has', () => {
    const holdings = new SourceHoldings(10);
    holdings.apply(message('8', 1));
    assert.throws(
      () => holdings.apply(message('8', 1, 1)),
      (error) => isErrorWithCode(error, 'MESSAGE_INVALID'),
    );
    assert.throws(
      () => holdings.apply({ ...message('0'), units: new Uint8Array(512 * 1024) }),
      (error) => isErrorWithCode(error, 'MESSAGE_INVALID'),
    );
  });
});
