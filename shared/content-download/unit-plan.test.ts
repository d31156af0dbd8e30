import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasPieces, pieceBytes } from '../domain/content.ts';
import { PieceSet } from '../domain/piece-set.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { FakeContent } from './testing/fake-content.ts';
import { type UnitPick, UnitPlan, type UnitSource, type UnitStretch } from './unit-plan.ts';

class TestSource implements UnitSource {
  readonly name: string;
  readonly rank: number;
  readonly held: PieceSet;
  isPreferred = true;
  paceMs: number | undefined = 100;

  constructor(name: string, rank: number, held: PieceSet) {
    this.name = name;
    this.rank = rank;
    this.held = held;
  }

  get holdings() {
    return { isComplete: this.held.isComplete, has: (unit: number) => this.held.has(unit) };
  }

  expectedMs(): number | undefined {
    return this.paceMs;
  }
}

function stretchOf(content: FakeContent, isWanted: (unit: number) => boolean = () => true) {
  const numbers: number[] = [];
  const fileIndices: number[] = [];
  for (const [index, file] of content.files.entries()) {
    const end = content.files[index + 1]?.firstUnit ?? content.unitCount;
    for (let unit = file.firstUnit; unit < end; unit++) {
      if (!isWanted(unit)) continue;
      numbers.push(unit);
      fileIndices.push(index);
    }
  }
  const stretch: UnitStretch = {
    files: content.files,
    numbers: Uint32Array.from(numbers),
    fileIndices: Uint32Array.from(fileIndices),
  };
  return stretch;
}

const numbersOf = ({ units }: UnitPick) =>
  units.map(({ file, pieceIndex }) => file.firstUnit + pieceIndex);
const always = () => true;

describe('unit plan', () => {
  const random = () => new SeededRandom(1).next;
  const content = new FakeContent([3 * pieceBytes, 10, 20, pieceBytes, 30, 2 * pieceBytes]);
  const all = () => new TestSource('all', 1, content.all());
  const some = (...units: number[]) => {
    const held = new PieceSet(content.unitCount);
    for (const unit of units) held.add(unit);
    return held;
  };

  it('goes in order, small files together up to a piece, when all hold all', () => {
    const plan = new UnitPlan(stretchOf(content), random());
    const source = all();
    plan.setSources([source]);
    const picks: number[][] = [];
    for (let pick = plan.next(source, 0); pick; pick = plan.next(source, 0)) {
      picks.push(numbersOf(pick));
    }
    assert.deepEqual(picks, [[0], [1], [2], [3, 4], [5], [6], [7], [8]]);
    assert.equal(plan.missingCount, 0);
    assert.equal(plan.isDone, false);
  });

  it('asks nobody for what he does not hold', () => {
    const plan = new UnitPlan(stretchOf(content), random());
    const source = new TestSource('some', 1, some(4));
    plan.setSources([source]);
    const pick = plan.next(source, 0);
    assert.deepEqual(pick && numbersOf(pick), [4]);
    assert.equal(plan.next(source, 0), undefined);
    source.held.add(7);
    plan.holdingsGrew(source, { firstUnit: 0, endUnit: 16 });
    const more = plan.next(source, 0);
    assert.deepEqual(more && numbersOf(more), [7]);
  });

  it('leaves to a lower rank what it holds, unless that one is on probation (PULL-1)', () => {
    const plan = new UnitPlan(
      stretchOf(content, (unit) => unit < 3),
      random(),
    );
    const near = new TestSource('near', 1, some(0, 1));
    const far = new TestSource('far', 2, content.all());
    plan.setSources([near, far]);
    const pick = plan.next(far, 0);
    assert.deepEqual(pick && numbersOf(pick), [2]);
    assert.equal(plan.next(far, 0), undefined);
    near.isPreferred = false;
    plan.setSources([near, far]);
    assert.ok(plan.next(far, 0));
  });

  it('takes first what the fewest hold, as long as somebody is getting it (PULL-11)', () => {
    const plan = new UnitPlan(
      stretchOf(content, (unit) => unit < 3),
      random(),
    );
    const source = all();
    const others = [some(0, 2), some(0, 2), some(2)].map(
      (held, index) => new TestSource(`${index}`, 1, held),
    );
    plan.setSources([source, ...others]);
    const order = [1, 2, 3].map(() => {
      const pick = plan.next(source, 0);
      return pick && numbersOf(pick);
    });
    assert.deepEqual(order, [[1], [0], [2]]);
  });

  it('leaves to others what is theirs to ask for, when little is left', () => {
    const stretch = stretchOf(content, (unit) => unit < 3);
    const plan = new UnitPlan(stretch, random());
    plan.share((unit) => unit === 1);
    const source = all();
    plan.setSources([source, new TestSource('arriving', 1, some())]);
    const own = plan.next(source, 0, 5);
    assert.deepEqual(own && numbersOf(own), [1]);
    assert.equal(plan.next(source, 0, 5), undefined);
    assert.ok(plan.next(source, 0, 1), 'much is left for a crowd of one');
    assert.ok(plan.next(source, 0, 0));
  });

  it('makes missing again what a request did not bring', () => {
    const plan = new UnitPlan(
      stretchOf(content, (unit) => unit === 3 || unit === 4),
      random(),
    );
    const source = all();
    plan.setSources([source]);
    const pick = plan.next(source, 0);
    assert.ok(pick);
    plan.finish([0]);
    plan.release(pick);
    assert.equal(plan.missingCount, 1);
    const again = plan.next(source, 0);
    assert.deepEqual(again && numbersOf(again), [4]);
  });

  it('asks a quicker one for what is overdue elsewhere, once', () => {
    const plan = new UnitPlan(
      stretchOf(content, (unit) => unit === 0),
      random(),
    );
    const [slow, quick, third] = [all(), all(), all()];
    slow.paceMs = 10_000;
    plan.setSources([slow, quick, third]);
    const first = plan.next(slow, 0);
    assert.ok(first);
    assert.equal(plan.overdue(quick, 400, always), undefined, 'no sooner than half a second');
    assert.equal(
      plan.overdue(quick, 600, () => false),
      undefined,
    );
    const second = plan.overdue(quick, 600, always);
    assert.deepEqual(second && numbersOf(second), [0]);
    assert.equal(plan.overdue(third, 5_000, always), undefined, 'twice is enough');
    plan.release(first);
    assert.equal(plan.missingCount, 0, 'it is on its way still');
    plan.finish([0]);
    assert.ok(plan.isDone);
  });

  it('does not ask a slower one for what is overdue', () => {
    const plan = new UnitPlan(
      stretchOf(content, (unit) => unit === 0),
      random(),
    );
    const [quick, slow] = [all(), all()];
    slow.paceMs = 10_000;
    plan.setSources([quick, slow]);
    plan.next(quick, 0);
    assert.equal(plan.overdue(slow, 60_000, always), undefined);
  });

  it('brings every unit, none twice without a failure, ranks respected (property)', () => {
    const size = fc.oneof(
      fc.integer({ min: 0, max: 300_000 }),
      fc.integer({ min: 1, max: 6 * pieceBytes }),
    );
    const source = fc.record({
      rank: fc.integer({ min: 1, max: 3 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(size, { minLength: 1, maxLength: 40 }),
        fc.array(source, { minLength: 1, maxLength: 5 }),
        fc.integer(),
        (sizes, facts, seed) => simulate(new FakeContent(sizes), facts, seed),
      ),
      { numRuns: 150 },
    );
  });

  /** Sources answer and fail in any order; one of rank 3 holds all. */
  function simulate(
    whole: FakeContent,
    facts: readonly { rank: number; share: number }[],
    seed: number,
  ): void {
    const chance = new SeededRandom(seed);
    const sources = facts.map(({ rank, share }, index) => {
      const held = new PieceSet(whole.unitCount);
      for (let unit = 0; unit < whole.unitCount; unit++) if (chance.next() < share) held.add(unit);
      return new TestSource(`${index}`, rank, held);
    });
    sources.push(new TestSource('last', 3, whole.all()));
    const plan = new UnitPlan<TestSource>(stretchOf(whole), chance.next);
    plan.setSources(sources);
    const open = new Set<UnitPick<TestSource>>();
    const asked = new Set<number>();
    const brought = new Set<number>();
    for (let turn = 0; !plan.isDone; turn++) {
      assert.ok(turn < 100_000, 'it comes to an end');
      const one = chance.pick(sources);
      const pick = open.size < 8 ? plan.next(one, turn) : undefined;
      if (pick) {
        checkPick(pick, sources, asked);
        open.add(pick);
      } else if (open.size > 0) {
        const ended = chance.pick([...open]);
        open.delete(ended);
        const isBrought = chance.next() < 0.7;
        for (const number of numbersOf(ended)) {
          asked.delete(number);
          if (isBrought) brought.add(number);
        }
        if (isBrought) plan.finish(ended.places);
        plan.release(ended);
      }
    }
    assert.equal(brought.size, whole.unitCount);
  }

  function checkPick(
    pick: UnitPick<TestSource>,
    sources: readonly TestSource[],
    asked: Set<number>,
  ): void {
    const numbers = numbersOf(pick);
    assert.ok(numbers.length >= 1 && numbers.length <= 512);
    assert.ok(pick.bytes <= pieceBytes);
    const isPiece = pick.units.some(({ file }) => hasPieces(file.sizeBytes));
    assert.ok(!isPiece || numbers.length === 1);
    for (const number of numbers) {
      assert.ok(!asked.has(number), 'nobody else is asked for it');
      asked.add(number);
      assert.ok(pick.source.held.has(number));
      const nearer = sources.filter(({ rank }) => rank < pick.source.rank);
      assert.ok(nearer.every(({ held }) => !held.has(number)));
    }
  }
});
