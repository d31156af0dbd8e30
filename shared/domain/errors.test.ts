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

  it('of a peer of another CA say that the root may have been changed, of another peer not', () => {
    const facts = { expected: 'DP PS1DP1', address: 'dp1:8531' };
    const messageOf = (actual: string) =>
      new WaybillError({ code: 'PEER_IDENTITY_MISMATCH', actual, ...facts }).message;
    const shown = 'dp1:8531 shows the certificate of a peer of another CA; expected DP PS1DP1';
    const advice =
      'Where the root was changed, this passes within minutes; if it does not, enroll whoever missed the change anew, with --force';
    assert.equal(messageOf('a peer of another CA'), `${shown}. ${advice}`);
    assert.doesNotMatch(messageOf('waybill://dp/PS1DP2'), /root/);
  });
});
