import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { IndexedEntry } from '../../shared/content-library/manifest-reader.ts';
import type { ContentItem } from '../../shared/content-source/content-item.ts';
import { smallFileLength } from '../../shared/content-source/content-message.ts';
import { hasPieces, pieceBytes, pieceCountOf, pieceLengthOf } from '../../shared/domain/content.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { collect } from '../../shared/testing/test-library.ts';
import { contentItems } from './content-items.ts';
import { WantedEntries } from './wanted-entries.ts';

const hashOf = (index: number) => index.toString(16).padStart(64, '0');

function fileEntry(index: number, sizeBytes: number): IndexedEntry {
  const place = { depth: 0, name: String(index), mode: 0o644, mtimeNs: '0' };
  const entry = { ...place, type: 'file', sizeBytes, hash: hashOf(index) } as const;
  return { entry, index, signatureOffset: 0 };
}

function directoryEntry(index: number): IndexedEntry {
  const entry = {
    type: 'directory',
    depth: 0,
    name: `d${index}`,
    mode: 0o755,
    mtimeNs: '0',
  } as const;
  return { entry, index, signatureOffset: 0 };
}

async function* inParts(entries: readonly IndexedEntry[]) {
  for (let start = 0; start < entries.length; start += 3) yield entries.slice(start, start + 3);
}

function allWanted(entries: readonly IndexedEntry[]): WantedEntries {
  const wanted = new WantedEntries({ entryCount: entries.length, sizeBytes: 0 });
  for (const { index } of entries) wanted.add(index, new Uint8Array(0));
  return wanted;
}

const filesOf = (items: readonly ContentItem[]) =>
  items.flatMap((item) => (item.kind === 'files' ? item.files : []));

describe('content items', () => {
  it('bring each wanted file once: pieces that are missing, small files in batches', async () => {
    const sizes = fc.oneof(
      fc.nat(3_000),
      fc.constantFrom(0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3 * pieceBytes + 5),
      fc.nat(300_000),
    );
    const files = fc.array(
      fc.record({
        sizeBytes: sizes,
        isDirectory: fc.boolean(),
        isWanted: fc.boolean(),
        isMine: fc.boolean(),
        held: fc.array(fc.nat(3)),
      }),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(files, async (facts) => {
        const entries = facts.map(({ isDirectory, sizeBytes }, index) =>
          isDirectory ? directoryEntry(index) : fileEntry(index, sizeBytes),
        );
        const sizeBytes = facts.reduce((sum, fact) => sum + fact.sizeBytes, 0);
        const wanted = new WantedEntries({ entryCount: entries.length, sizeBytes });
        const expected: string[] = [];
        const expectedMissing: number[] = [];
        for (const [index, fact] of facts.entries()) {
          if (!fact.isWanted) continue;
          const count = hasPieces(fact.sizeBytes) ? pieceCountOf(fact.sizeBytes) : 0;
          const held = new PieceSet(count);
          for (const piece of fact.held) held.add(piece);
          wanted.add(index, held.toBytes());
          if (fact.isDirectory) continue;
          expectedMissing.push(held.missingBytesOf(fact.sizeBytes));
          if (!fact.isMine) continue;
          if (count === 0) expected.push(hashOf(index));
          for (let piece = 0; piece < count; piece++) {
            if (!held.has(piece)) expected.push(`${hashOf(index)}:${piece}`);
          }
        }
        const askedMissing: number[] = [];
        const isMine = ({ hash }: { hash: string }, missingBytes: number) => {
          askedMissing.push(missingBytes);
          return facts[Number.parseInt(hash, 16)]?.isMine ?? false;
        };
        const items = await collect(contentItems(inParts(entries), wanted, isMine));
        const sent = items.flatMap((item) =>
          item.kind === 'piece'
            ? `${item.file.hash}:${item.pieceIndex}`
            : item.files.map(({ hash }) => hash),
        );
        assert.deepEqual(sent.sort(), expected.sort());
        assert.deepEqual(askedMissing, expectedMissing);
        for (const item of items) checkItem(item);
      }),
    );
  });

  it('keep manifest order among small files, and among pieces', async () => {
    const entries = [5, pieceBytes * 2, 7, pieceBytes * 2, 9].map((size, index) =>
      fileEntry(index, size),
    );
    const items = await collect(contentItems(inParts(entries), allWanted(entries), () => true));
    assert.deepEqual(
      items.map((item) => item.kind),
      ['piece', 'piece', 'piece', 'piece', 'files'],
    );
    assert.deepEqual(
      filesOf(items).map(({ hash }) => hash),
      [0, 2, 4].map(hashOf),
    );
  });

  it('put 512 small files into a message at most', async () => {
    const entries = Array.from({ length: 1_300 }, (_, index) => fileEntry(index, 0));
    const items = await collect(contentItems(inParts(entries), allWanted(entries), () => true));
    const counts = items.map((item) => (item.kind === 'files' ? item.files.length : 0));
    assert.deepEqual(counts, [512, 512, 276]);
  });

  it('are none when nothing is wanted or nothing is ours', async () => {
    const entries = [fileEntry(0, 10), fileEntry(1, 2 * pieceBytes)];
    const nothing = new WantedEntries({ entryCount: 2, sizeBytes: 0 });
    assert.deepEqual(await collect(contentItems(inParts(entries), nothing, () => true)), []);
    const wanted = allWanted(entries);
    assert.deepEqual(await collect(contentItems(inParts(entries), wanted, () => false)), []);
  });

  it('close the manifest when they are left early', async () => {
    let isClosed = false;
    async function* entries() {
      try {
        yield [fileEntry(0, 2 * pieceBytes)];
        yield [fileEntry(1, 2 * pieceBytes)];
      } finally {
        isClosed = true;
      }
    }
    const wanted = allWanted([fileEntry(0, 0), fileEntry(1, 0)]);
    const items = contentItems(entries(), wanted, () => true);
    await items.next();
    await items.return(undefined);
    assert.equal(isClosed, true);
  });
});

function checkItem(item: ContentItem): void {
  if (item.kind === 'piece') {
    assert.equal(item.sizeBytes, pieceLengthOf(item.file.sizeBytes, item.pieceIndex));
    return;
  }
  const total = item.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  assert.equal(item.sizeBytes, total);
  assert.ok(item.files.length >= 1 && item.files.length <= 512);
  assert.ok(total <= pieceBytes);
  const length = item.files.reduce((sum, { sizeBytes }) => sum + smallFileLength(sizeBytes), 0);
  assert.ok(item.files.length === 1 || length <= pieceBytes);
}
