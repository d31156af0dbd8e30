import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { errorCodes, isErrorWithCode, WaybillError } from './errors.ts';

const page = new URL('../../../docs/errors.md', import.meta.url);

describe('Errors', () => {
  it('stand in docs/errors.md, each explained once, and no others do', async () => {
    const text = await readFile(page, 'utf8');
    const sections = text.split(/^### /m).slice(1);
    const explained = sections.map((section) => section.slice(0, section.indexOf('\n')));
    assert.deepEqual(explained.toSorted(), errorCodes.toSorted());
    for (const section of sections) {
      const words = section.replace(/^##.*/gms, '').trim().split(/\s+/);
      assert.ok(words.length > 12, `${words[0]} says what happened and what to do`);
    }
  });

  it('are told apart by their code', () => {
    const error = new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS100001' });
    assert.equal(isErrorWithCode(error, 'DISK_FULL', 'PACKAGE_UNKNOWN'), true);
    assert.equal(isErrorWithCode(error, 'DISK_FULL'), false);
    assert.equal(isErrorWithCode(new Error('PACKAGE_UNKNOWN'), 'PACKAGE_UNKNOWN'), false);
    assert.match(error.message, /PS100001/);
  });
});
