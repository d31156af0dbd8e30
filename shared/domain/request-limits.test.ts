import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { requestLimits } from './request-limits.ts';

const page = new URL('../../../docs/limits.md', import.meta.url);

describe('Limits of requests', () => {
  it('stand in docs/limits.md as they are, and no others do', async () => {
    const text = await readFile(page, 'utf8');
    const start = text.indexOf('`shared/domain/request-limits.ts`');
    const section = text.slice(start, text.indexOf('\n## ', start));
    const rows = [...section.matchAll(/^\|.+?\| (?:1 to )?([\d,]+) ?.*?\| `(\w+)` \|/gm)];
    const documented = rows.map(([, value = '', name]) => [
      name,
      Number(value.replaceAll(',', '')),
    ]);
    assert.deepEqual(Object.fromEntries(documented), requestLimits);
  });
});
