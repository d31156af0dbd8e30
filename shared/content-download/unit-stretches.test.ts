import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { WantedUnits } from '../package-receiver/content-inspection.ts';
import { collect } from '../testing/test-library.ts';
import { surveyContent } from './content-survey.ts';
import { UnitStretches } from './unit-stretches.ts';

const file = (hash: string, sizeBytes: number, firstUnit: number, ...held: number[]) => {
  const pieces = new PieceSet(sizeBytes > pieceBytes ? Math.ceil(sizeBytes / pieceBytes) : 0);
  for (const piece of held) pieces.add(piece);
  return { hash, sizeBytes, firstUnit, pieces };
};
/** Unit 0 is here, and piece 1 of `b`; `b` is in it twice. */
const parts: WantedUnits[] = [
  { firstUnit: 0, endUnit: 6, files: [file('a', 10, 1), file('b', 4 * pieceBytes, 2, 1)] },
  { firstUnit: 6, endUnit: 11, files: [file('b', 4 * pieceBytes, 6, 1), file('c', 0, 10)] },
];
async function* given() {
  yield* parts;
}

describe('stretches of units', () => {
  it('are of bounded length, in order, without what is here, each file once', async () => {
    const stretches = await collect(new UnitStretches(3).cut(parts));
    assert.deepEqual(
      stretches.map(({ numbers }) => [...numbers]),
      [
        [1, 2, 4],
        [5, 10],
      ],
    );
    const names = stretches.map(({ files, fileIndices }) =>
      [...fileIndices].map((index) => files[index]?.hash),
    );
    assert.deepEqual(names, [
      ['a', 'b', 'b'],
      ['b', 'c'],
    ]);
  });

  it('say where in the content a unit has come, wherever its file stands', async () => {
    const stretches = new UnitStretches();
    const [stretch] = await collect(stretches.cut(parts));
    const b = stretch?.files[1];
    assert.ok(b);
    assert.deepEqual(stretches.arrived(b, 0), [2, 6]);
    assert.deepEqual(stretches.arrived(b, 3), [5, 9]);
  });

  it('take a file anew once all of it has come', async () => {
    const stretches = new UnitStretches();
    const wanted = [{ files: [file('a', 10, 1)] }];
    const [stretch] = await collect(stretches.cut(wanted));
    assert.deepEqual(await collect(stretches.cut(wanted)), [], 'it is on its way');
    const a = stretch?.files[0];
    assert.ok(a);
    stretches.arrived(a, 0);
    assert.equal((await collect(stretches.cut(wanted))).length, 1);
  });
});

describe('survey of a content', () => {
  it('says which units are here, and counts a file that is in it twice once', async () => {
    const survey = await surveyContent(given());
    const here = [...Array(11).keys()].filter((unit) => survey.here.has(unit));
    assert.deepEqual(here, [0, 3, 7]);
    assert.equal(survey.here.pieceCount, 11);
    assert.equal(survey.missingBytes, 10 + 3 * pieceBytes);
    assert.equal(survey.isWhole, false);
    assert.equal(survey.wanted?.length, 2);
  });

  it('keeps no more files than it may', async () => {
    async function* many() {
      const files = Array.from({ length: 20_000 }, (_, index) => file(`${index}`, 1, index));
      yield { firstUnit: 0, endUnit: 20_000, files };
    }
    const survey = await surveyContent(many());
    assert.equal(survey.wanted, undefined);
    assert.equal(survey.missingBytes, 20_000);
  });

  it('finds a content whole', async () => {
    async function* whole() {
      yield { firstUnit: 0, endUnit: 70_000, files: [] };
    }
    const survey = await surveyContent(whole());
    assert.ok(survey.isWhole && survey.here.isComplete);
  });
});
