import assert from 'node:assert/strict';
import fc from 'fast-check';
import { PieceSet } from '../domain/piece-set.ts';
import { ToldUnits, type UnitsPart } from './told-units.ts';

/** What a watcher knows: the parts, each over what was there before. */
class Watcher {
  readonly #known: Buffer;

  constructor(unitCount: number) {
    this.#known = Buffer.alloc(Math.ceil(unitCount / 8));
  }

  hear({ firstUnit, units }: UnitsPart): void {
    assert.equal(firstUnit % 8, 0);
    units.copy(this.#known, firstUnit / 8);
  }

  has(unit: number): boolean {
    return (((this.#known[unit >> 3] ?? 0) >> (unit & 7)) & 1) === 1;
  }
}

const partBytes = 3;

describe('told units', () => {
  it('are all units that are here, whenever a watcher has heard every message (PULL-11)', () => {
    const unitCounts = fc.nat(120);
    const steps = fc.array(fc.array(fc.nat(119), { maxLength: 6 }), { maxLength: 8 });
    fc.assert(
      fc.property(unitCounts, steps, (unitCount, arrivals) => {
        const units = new PieceSet(unitCount, new Uint8Array([0b1010]));
        const told = new ToldUnits(units, partBytes);
        const watcher = new Watcher(unitCount);
        for (const part of told.all()) watcher.hear(part);
        for (const arrival of [[], ...arrivals]) {
          for (const unit of arrival) units.add(unit);
          for (let part = told.changed(); part; part = told.changed()) {
            assert.ok(part.units.length <= partBytes);
            watcher.hear(part);
          }
          for (let unit = 0; unit < unitCount; unit++) {
            assert.equal(watcher.has(unit), units.has(unit), `unit ${unit}`);
          }
        }
      }),
    );
  });

  it('come in one message at least, even when nothing is here or there is no unit', () => {
    const none = [...new ToldUnits(new PieceSet(20)).all()];
    assert.deepEqual(none, [{ firstUnit: 0, units: Buffer.alloc(3) }]);
    const empty = new ToldUnits(new PieceSet(0));
    assert.deepEqual([...empty.all()], [{ firstUnit: 0, units: Buffer.alloc(0) }]);
    assert.equal(empty.changed(), undefined);
  });

  it('are told again only around what is new', () => {
    const units = new PieceSet(400);
    const told = new ToldUnits(units);
    [...told.all()];
    units.add(170);
    units.add(190);
    const part = told.changed();
    assert.equal(part?.firstUnit, 168);
    assert.equal(part?.units.length, 3);
    assert.equal(told.changed(), undefined);
  });
});
