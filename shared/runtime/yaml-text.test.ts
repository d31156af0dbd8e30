import assert from 'node:assert/strict';
import { readYaml, yamlLengthMax } from './yaml-text.ts';

function problemsOf(text: string): string[] {
  const read = readYaml(text);
  return 'problems' in read
    ? read.problems('file').map(({ path, text }) => `${path}: ${text}`)
    : [];
}

describe('YAML that anybody may have written', () => {
  it('is read, with the lines of what it says', () => {
    const read = readYaml('a: 1\nb:\n  c: [x, y]\n');
    assert.ok('value' in read);
    assert.deepEqual(read.value, { a: 1, b: { c: ['x', 'y'] } });
    assert.equal(read.lineOf(['b', 'c']), 'line 3');
    assert.equal(read.lineOf(['none']), undefined);
  });

  it('is refused, and takes down nobody, however deep it is', () => {
    for (const text of [
      `a: ${'[\n'.repeat(10_000)}`,
      `a: ${'{b: '.repeat(10_000)}`,
      `a${': a'.repeat(10_000)}`,
      `${'- '.repeat(10_000)}`,
      Array.from({ length: 5_000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ]) {
      assert.match(problemsOf(text.slice(0, yamlLengthMax)).join(), /of at most 100 levels/);
    }
  });

  it('is refused when it is too long', () => {
    assert.match(problemsOf(`a: ${'x'.repeat(yamlLengthMax)}`).join(), /at most 262144 characters/);
  });

  it('is refused with a key twice, of thousands, in no time, and with every line', () => {
    const many = Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join('\n');
    assert.deepEqual(problemsOf(`${many}\nk7: 2\nk8: 3`), [
      'line 20001: expected k7 once',
      'line 20002: expected k8 once',
    ]);
  });

  it('says the line of each key, of thousands, in no time', () => {
    const count = 20_000;
    const read = readYaml(Array.from({ length: count }, (_, index) => `k${index}: 1`).join('\n'));
    assert.ok('value' in read);
    for (let index = 0; index < count; index++) {
      assert.equal(read.lineOf([`k${index}`]), `line ${index + 1}`);
    }
  });

  it('is refused with an alias, known or not, and with a key that is no name', () => {
    assert.deepEqual(problemsOf('a: *b'), [
      'line 1: expected a value, got an alias of another one',
    ]);
    assert.match(problemsOf('a: &x [1]\nb: *x').join(), /line 2: expected a value, got an alias/);
    assert.match(problemsOf('? [a]\n: 1').join(), /expected names as keys/);
    assert.match(problemsOf(': 1').join(), /expected names as keys/);
  });
});
