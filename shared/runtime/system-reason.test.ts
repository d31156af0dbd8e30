import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { toSystemReason } from './system-reason.ts';

describe('the reason of a failed call on a file', () => {
  it('is told in words', async () => {
    const missing = await readFile('/nowhere/at/all').catch((error: unknown) => error);
    assert.equal(toSystemReason(missing), 'there is no such file');
    const directory = await readFile('/').catch((error: unknown) => error);
    assert.equal(toSystemReason(directory), 'it is a directory');
  });

  it('is the code of the system where there are no words', () => {
    assert.equal(toSystemReason(Object.assign(new Error('x'), { code: 'EIO' })), 'EIO');
    assert.equal(toSystemReason('odd'), 'odd');
  });
});
