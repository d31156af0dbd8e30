import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AuditRecord, noRecordHash } from '../domain/audit-record.ts';
import { type ChainedRecord, chained, hashOfRecord } from './audit-chain.ts';
import { ChainCheck, type ChainFinding, type ToldHead } from './chain-check.ts';

/** A trail as it is written; serials may have gaps, as after a full disk. */
function trailOf(serials: readonly number[], previous = noRecordHash): ChainedRecord[] {
  let previousHash = previous;
  return serials.map((serial) => {
    const record = chained({ serial, ...facts, timeMs: 1_000 + serial }, previousHash);
    previousHash = record.hash;
    return record;
  });
}
const facts = { caller: 'alice', address: '::1', method: 'm', result: 'ok', detail: 'd' };
const trail = trailOf([1, 2, 3, 4, 5, 6]);
const at = (index: number) => trail[index] ?? assert.fail(`no record ${index}`);

function toldOf(record: ChainedRecord, toldTo = 'CS1'): ToldHead {
  return { serial: record.serial, hash: record.hash, toldAtMs: 7, toldTo };
}

function checked(
  records: readonly AuditRecord[],
  {
    anchor,
    heads = [],
    mayBeGoneMs,
  }: { anchor?: ToldHead; heads?: readonly ToldHead[]; mayBeGoneMs?: number } = {},
): readonly ChainFinding[] {
  const check = new ChainCheck(heads, mayBeGoneMs);
  if (anchor) check.goOnFrom(anchor);
  for (const record of records) check.add(record);
  return check.end().findings;
}

/** As somebody with the store would write a record anew, with a hash that fits. */
function forged(record: ChainedRecord, previousHash = record.previousHash): ChainedRecord {
  const { hash: _, ...changed } = { ...record, caller: 'mallory', previousHash };
  return { ...changed, hash: hashOfRecord(changed, previousHash) };
}

describe('audit chain (ADM-5)', () => {
  it('finds nothing in a trail as it was written, gaps and all', () => {
    assert.deepEqual(checked(trail), []);
    assert.deepEqual(checked(trailOf([1, 2, 5, 9])), []);
    assert.deepEqual(checked([]), []);
    assert.deepEqual(checked(trail, { heads: trail.map((one) => toldOf(one)) }), []);
  });

  it('says which record was altered, whichever field of it', () => {
    const changes: Partial<AuditRecord>[] = [
      ...[{ timeMs: 1 }, { caller: 'x' }, { address: 'x' }, { method: 'x' }, { result: 'x' }],
      ...[{ detail: '' }, { hash: noRecordHash }, { previousHash: noRecordHash }],
    ];
    for (const change of changes) {
      const altered = trail.map((one) => (one.serial === 3 ? { ...one, ...change } : one));
      const found = checked(altered);
      // A hash that was altered does not fit the record after it either: it is the same record.
      assert.deepEqual(found, [{ kind: 'altered', serial: 3 }], JSON.stringify(change));
    }
  });

  it('says which record was altered together with its hash', () => {
    const altered = trail.map((one) => (one.serial === 3 ? forged(one) : one));
    assert.deepEqual(checked(altered), [{ kind: 'altered', serial: 3 }]);
    const bare = trail.map(({ hash, previousHash, ...one }) =>
      one.serial === 3 ? one : { ...one, hash, previousHash },
    );
    assert.deepEqual(checked(bare), [{ kind: 'altered', serial: 3 }]);
  });

  it('says which records were removed: in the middle, at the beginning, at the end', () => {
    const middle = trail.filter(({ serial }) => serial !== 3 && serial !== 4);
    assert.deepEqual(checked(middle), [{ kind: 'removed', serial: 3, lastSerial: 4 }]);
    assert.deepEqual(checked(trail.slice(2)), [{ kind: 'removed', serial: 1, lastSerial: 2 }]);
    const anchor = toldOf(at(1));
    assert.deepEqual(checked(trail.slice(2), { anchor }), []);
    const afterAnchor = checked(trail.slice(4), { anchor });
    assert.deepEqual(afterAnchor, [{ kind: 'removed', serial: 3, lastSerial: 4 }]);
    const heads = [toldOf(at(5)), toldOf(at(4), 'PS1'), toldOf(at(1))];
    const cut = [{ kind: 'removed', serial: 5, lastSerial: 6 }];
    assert.deepEqual(checked(trail.slice(0, 4), { heads }), cut);
    assert.deepEqual(checked([], { heads }), [{ kind: 'removed', serial: 1, lastSerial: 6 }]);
    assert.deepEqual(checked([], { heads: [anchor], anchor }), []);
  });

  it('does not believe that records went in time that were told of lately', () => {
    const anchor = toldOf(at(3));
    const [old, late] = [toldOf(at(0)), { ...toldOf(at(2)), toldAtMs: 70 }];
    const heads = [old, late, toldOf(at(4))];
    assert.deepEqual(checked(trail.slice(4), { anchor, heads: [old], mayBeGoneMs: 50 }), []);
    const gone = [{ kind: 'removed', serial: 1, lastSerial: 3, isSaidOld: true }];
    assert.deepEqual(checked(trail.slice(4), { anchor, heads, mayBeGoneMs: 50 }), gone);
    assert.deepEqual(checked([], { anchor: toldOf(at(5)), heads, mayBeGoneMs: 50 }), gone);
  });

  it('finds nothing in a trail of which records went while it was read', () => {
    const check = new ChainCheck([toldOf(at(1)), toldOf(at(2)), toldOf(at(5))]);
    check.add(at(0));
    check.goOnFrom(toldOf(at(3)));
    check.add(at(4));
    check.add(at(5));
    assert.deepEqual(check.end().findings, []);
  });

  it('says which record was inserted where there was none', () => {
    const gap = trailOf([1, 2, 5, 6]);
    const second = gap[1] ?? assert.fail();
    const inserted = forged({ ...second, serial: 3 }, second.hash);
    const found = checked([...gap.slice(0, 2), inserted, ...gap.slice(2)]);
    assert.deepEqual(found, [{ kind: 'inserted', serial: 3 }]);
  });

  it('finds a trail that was written anew as a whole by what parents were told', () => {
    const anew = trailOf([1, 2]);
    const third = forged(at(2), at(1).hash);
    const rest = trailOf([4, 5, 6, 7], third.hash);
    const heads = [toldOf(at(1)), toldOf(at(3)), toldOf(at(4)), toldOf(at(3), 'PS1')];
    assert.deepEqual(checked([...anew, third, ...rest]), [], 'by itself it is whole');
    assert.deepEqual(checked([...anew, third, ...rest], { heads }), [
      { kind: 'rewritten', serial: 4, head: toldOf(at(3)) },
      { kind: 'rewritten', serial: 4, head: toldOf(at(3), 'PS1') },
    ]);
  });

  it('finds what was cut off at the end though the trail has gone on since', () => {
    const cut = trail.slice(0, 3);
    const since = trailOf([7, 8], at(2).hash);
    assert.deepEqual(checked([...cut, ...since]), [], 'by itself it is whole');
    const found = checked([...cut, ...since], { heads: [toldOf(at(4)), toldOf(at(5), 'PS1')] });
    assert.deepEqual(found, [{ kind: 'removed', serial: 4, lastSerial: 6 }]);
  });

  it('finds that all was lost, though serials go on far above', () => {
    const heads = [toldOf(at(1)), toldOf(at(5))];
    const found = checked(trailOf([1_000, 1_001]), { heads });
    assert.deepEqual(found, [{ kind: 'removed', serial: 1, lastSerial: 6 }]);
  });

  it('takes records of older programs for what they are, before the chain and not in it', () => {
    const old: AuditRecord[] = [1, 2].map((serial) => ({ serial, timeMs: 1, ...facts }));
    const check = new ChainCheck([]);
    for (const record of [...old, ...trailOf([3, 4])]) check.add(record);
    const { findings, uncoveredCount, recordCount } = check.end();
    assert.deepEqual([findings, uncoveredCount, recordCount], [[], 2, 4]);
    const late = { ...old[0], serial: 5 } as AuditRecord;
    assert.deepEqual(checked([...trailOf([3, 4]), late]), [{ kind: 'altered', serial: 5 }]);
  });

  /** Serials that rise, with gaps, and the number of records that went in time. */
  const trails = fc
    .tuple(fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 3, maxLength: 20 }), fc.nat(10))
    .map(([steps, cutCount]) => {
      let serial = 0;
      const whole = trailOf(steps.map((step) => (serial += step)));
      const cut = Math.min(cutCount, whole.length - 2);
      const last = cut > 0 ? whole[cut - 1] : undefined;
      return { whole, left: whole.slice(cut), anchor: last && toldOf(last) };
    });

  it('finds nothing wrong with any trail that was only cut in time, whatever was told of it', () => {
    fc.assert(
      fc.property(trails, fc.array(fc.nat(19)), ({ whole, left, anchor }, told) => {
        const heads = told.flatMap((index) => (whole[index] ? [toldOf(whole[index])] : []));
        assert.deepEqual(checked(left, { ...(anchor && { anchor }), heads }), []);
      }),
    );
  });

  it('finds any record that was altered, removed, put elsewhere or written anew with all after it', () => {
    const ways = fc.constantFrom('alter', 'forge', 'remove', 'cut', 'double', 'rewrite');
    fc.assert(
      fc.property(trails, ways, fc.nat(19), ({ whole, left, anchor }, way, place) => {
        const index = place % left.length;
        const one = left[index] ?? assert.fail();
        const before = index === 0 ? (anchor?.hash ?? noRecordHash) : (left[index - 1]?.hash ?? '');
        const tampered: Record<string, () => ChainedRecord[]> = {
          alter: () => left.with(index, { ...one, detail: 'x' }),
          forge: () => left.with(index, forged(one, before)),
          remove: () => left.toSpliced(index, 1),
          cut: () => left.slice(0, index),
          double: () => left.toSpliced(index, 0, one),
          rewrite: () => {
            let hash = before;
            const rest = left.slice(index).map((record) => {
              const next = forged(record, hash);
              hash = next.hash;
              return next;
            });
            return [...left.slice(0, index), ...rest];
          },
        };
        const heads = [toldOf(whole.at(-1) ?? assert.fail())];
        const records = tampered[way]?.() ?? assert.fail();
        const found = checked(records, { ...(anchor && { anchor }), heads });
        assert.ok(found.length > 0, way);
      }),
    );
  });

  it('has one meaning for each hash: no two records, or places in a chain, share one', () => {
    const record = fc.record({
      serial: fc.nat(),
      timeMs: fc.nat(),
      caller: fc.string(),
      address: fc.string(),
      method: fc.string(),
      result: fc.string(),
      // Halves of characters, too.
      detail: fc.array(fc.nat(0xffff)).map((codes) => String.fromCharCode(...codes)),
    });
    fc.assert(
      fc.property(record, record, (first, second) => {
        const [one, other] = [first, second].map((each) => chained(each, noRecordHash));
        const { hash, ...text } = one as ChainedRecord;
        const { hash: otherHash, ...otherText } = other as ChainedRecord;
        assert.equal(hash === otherHash, JSON.stringify(text) === JSON.stringify(otherText));
        assert.notEqual(chained(first, hash).hash, hash);
      }),
    );
  });

  it('chains what comes over the wire as it was, a character cut in two as well', () => {
    const cut = chained({ serial: 1, timeMs: 1, ...facts, detail: '\ud83d' }, noRecordHash);
    const received = { ...cut, detail: Buffer.from(cut.detail, 'utf8').toString('utf8') };
    assert.deepEqual(checked([received]), []);
  });

  it('keeps no more findings than it says', () => {
    const check = new ChainCheck([]);
    const many = trailOf(Array.from({ length: 1_500 }, (_, index) => index + 1));
    for (const record of many) check.add({ ...record, detail: 'x' });
    const { findings, findingCount } = check.end();
    assert.deepEqual([findings.length, findingCount], [1_000, 1_500]);
  });
});
