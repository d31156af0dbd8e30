import assert from 'node:assert/strict';
import { PieceSet } from '../domain/piece-set.ts';
import { type ArrivingContent, ArrivingContents } from './arriving-contents.ts';

const contentId = 'PS100001.1';

function content(): ArrivingContent {
  const hash = 'a'.repeat(64);
  const descriptor = {
    contentId,
    contentHash: hash,
    signatureHash: hash,
    manifestBytes: 1,
    signatureBytes: 0,
    entryCount: 1,
    fileCount: 1,
    sizeBytes: 1,
  };
  return {
    descriptor,
    manifestPath: '/m',
    signaturePath: '/s',
    units: new PieceSet(1),
    deltas: { used: [], areKnown: true },
  };
}

describe('arriving contents (PULL-11)', () => {
  it('are found from their begin to their end', () => {
    const contents = new ArrivingContents();
    const one = content();
    const end = contents.add(one);
    assert.equal(contents.find(contentId), one);
    assert.equal(contents.find('PS100001.2'), undefined);
    end();
    assert.equal(contents.find(contentId), undefined);
  });

  it('are what was added last; the end of an older one is not theirs', () => {
    const contents = new ArrivingContents();
    const [older, newer] = [content(), content()];
    const endOlder = contents.add(older);
    const endNewer = contents.add(newer);
    endOlder();
    assert.equal(contents.find(contentId), newer);
    endNewer();
    endNewer();
    assert.equal(contents.find(contentId), undefined);
  });

  it('tell their watchers of begin, changes and end, and nobody else', () => {
    const contents = new ArrivingContents();
    const told: (ArrivingContent | undefined)[] = [];
    let otherCount = 0;
    const endWatch = contents.watch(contentId, () => told.push(contents.find(contentId)));
    contents.watch('PS100001.2', () => otherCount++);
    const one = content();
    const end = contents.add(one);
    contents.changed(contentId);
    end();
    assert.deepEqual(told, [one, one, undefined]);
    endWatch();
    contents.changed(contentId);
    assert.equal(told.length, 3);
    assert.equal(otherCount, 0);
  });

  it('have any number of watchers, each ended for itself', () => {
    const contents = new ArrivingContents();
    let count = 0;
    const listener = () => count++;
    const ends = [contents.watch(contentId, listener), contents.watch(contentId, listener)];
    contents.changed(contentId);
    assert.equal(count, 2);
    ends[0]?.();
    ends[0]?.();
    contents.changed(contentId);
    assert.equal(count, 3);
  });
});
