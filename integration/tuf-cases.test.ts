import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const root = new URL('../../', import.meta.url);

/** Rows of the table of cases: what is tried, the file of its test, and the test's name. */
async function casesOfPage(): Promise<{ what: string; file: string; test: string }[]> {
  const page = await readFile(new URL('docs/trust.md', root), 'utf8');
  const section = page.slice(page.indexOf('## 9 '));
  const rows = section.matchAll(/^\| ([^|]+) \| `([^`|]+\.test\.ts)` \| ([^|]+) \|$/gm);
  return [...rows].map(([, what = '', file = '', test = '']) => ({
    ...{ what: what.trim(), file, test: test.trim() },
  }));
}

describe('the cases of TUF (docs/trust.md, 9)', () => {
  it('each have a test of the name that the page gives', async () => {
    const cases = await casesOfPage();
    assert.ok(cases.length >= 18, `${cases.length} cases`);
    for (const { what, file, test } of cases) {
      const source = await readFile(new URL(file, root), 'utf8');
      assert.ok(source.includes(test), `${what}: no test "${test}" in ${file}`);
    }
  });
});
