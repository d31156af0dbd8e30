import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const root = new URL('../../../', import.meta.url);
const units: Readonly<Record<string, number>> = {
  '': 1,
  bytes: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  TiB: 2 ** 40,
};
const sections = [
  { heading: '## Content library', folder: 'shared/content-library/', rowCount: 10 },
  { heading: '## Package info', folder: 'shared/package-info/', rowCount: 5 },
  { heading: '## Package receiver', folder: 'shared/package-receiver/', rowCount: 4 },
  { heading: '## Delta', folder: 'shared/delta/', rowCount: 5 },
  { heading: '## Package file', folder: 'shared/package-file/', rowCount: 14 },
  { heading: '## Content server', folder: 'shared/content-server/', rowCount: 6 },
];

/** The number a file gives a constant, which may be a product or a power. */
async function constantIn(path: string, name: string): Promise<number> {
  const source = await readFile(new URL(path, root), 'utf8');
  const [, text = ''] = new RegExp(`const ${name} = ([\\d_ *]+);`).exec(source) ?? [];
  const factors = text.replaceAll('_', '').split(/ \* /);
  return factors.reduce((product, factor) => {
    const [base, exponent = '1'] = factor.split(' ** ');
    return product * Number(base) ** Number(exponent);
  }, 1);
}

/** Rows whose value is a number and whose file is in the folder. */
function rowsOf(section: string): { value: number; file: string; name: string }[] {
  const pattern = /^\|[^|]+\| ([\d,]+) ?(\w*) \| `([\w-]+\.ts)`, `(\w+)` \|/gm;
  return [...section.matchAll(pattern)].map(([, digits = '', unit = '', file = '', name = '']) => ({
    value: Number(digits.replaceAll(',', '')) * (units[unit] ?? Number.NaN),
    file,
    name,
  }));
}

describe('docs/limits.md, of what arrives and of the content library', () => {
  for (const { heading, folder, rowCount } of sections) {
    it(`says what ${folder} does`, async () => {
      const text = await readFile(new URL('docs/limits.md', root), 'utf8');
      const start = text.indexOf(heading);
      const section = text.slice(start, text.indexOf('\n## ', start));
      const rows = rowsOf(section).filter(({ file }) => file !== 'dp-config.ts');
      assert.equal(rows.length, rowCount);
      for (const { value, file, name } of rows) {
        assert.equal(value, await constantIn(folder + file, name), name);
      }
    });
  }
});
