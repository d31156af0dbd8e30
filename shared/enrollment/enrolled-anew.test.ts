import assert from 'node:assert/strict';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { EnrolledAnew } from './enrolled-anew.ts';

describe('the word of an enrollment to its agent', () => {
  it('stands until it is obeyed', async () => {
    await using directory = await TemporaryDirectory.create();
    const anew = new EnrolledAnew(directory.path);
    assert.equal(await anew.isSaid(), false);
    await anew.say();
    assert.equal(await new EnrolledAnew(directory.path).isSaid(), true);
    await anew.forget();
    await anew.forget();
    assert.equal(await anew.isSaid(), false);
  });
});
