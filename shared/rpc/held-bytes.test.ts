import assert from 'node:assert/strict';
import { type Holding, whoHoldsTooMuch } from './held-bytes.ts';

const limits = {
  ...{ heldBytesOfSiteMax: 500, heldBytesMax: 60 },
  ...{ heldBytesOfAllSitesMax: 700, heldBytesOfAllOthersMax: 200 },
};

const site = (peer: string, bytes: number): Holding<string> => ({ peer, isSite: true, bytes });
const other = (peer: string, bytes: number): Holding<string> => ({ peer, isSite: false, bytes });
const ended = (...holdings: Holding<string>[]) =>
  whoHoldsTooMuch(holdings, limits).map(({ peer, isAtFault }) => [peer, isAtFault]);

describe('bytes of messages that no method has taken (SEC-4)', () => {
  it('end nobody who is within his limit, nor a crowd that is within its own', () => {
    assert.deepEqual(ended(), []);
    assert.deepEqual(ended(site('A', 500), site('B', 200), other('a', 60), other('b', 60)), []);
  });

  it('end whoever is over his own limit, and he is at fault', () => {
    const all = [site('A', 501), site('B', 199), other('a', 61), other('b', 60)];
    const expected = [
      ['A', true],
      ['a', true],
    ];
    assert.deepEqual(ended(...all), expected);
  });

  it('end those of a crowd who hold most, until the rest is within the limit, and blame nobody', () => {
    const crowd = [other('a', 10), other('b', 60), other('c', 50), other('d', 55), other('e', 58)];
    assert.deepEqual(ended(...crowd), [['b', false]]);
    const larger = [...crowd, other('f', 59), other('g', 57)];
    const expected = [
      ['b', false],
      ['f', false],
      ['e', false],
    ];
    assert.deepEqual(ended(...larger), expected);
  });

  it('of others end no site, and of sites no others', () => {
    const others = Array.from({ length: 5 }, (_, index) => other(`${index}`, 60 - index));
    assert.deepEqual(ended(site('A', 400), site('B', 300), ...others), [
      ['0', false],
      ['1', false],
    ]);
    assert.deepEqual(ended(site('A', 400), site('B', 301), other('a', 60)), [['A', false]]);
  });

  it('are told in words: the limit, and what the one who gives way held', () => {
    const [fault] = whoHoldsTooMuch([other('a', 61)], limits);
    assert.equal(fault?.limit, '60 bytes of messages that no method has taken');
    const [most] = whoHoldsTooMuch([site('A', 400), site('B', 301)], limits);
    const words = 'bytes of messages of all its kind that no method has taken; it held most, 400';
    assert.equal(most?.limit, `700 ${words}`);
  });
});
