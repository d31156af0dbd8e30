import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Column, toFactLines, toTable, toTableLines } from './table.ts';
import { widthOf } from './text-width.ts';

interface Row {
  readonly name: string;
  readonly count: string;
  readonly reason: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'name', text: (row) => row.name },
  { title: 'count', text: (row) => row.count, align: 'right' },
  { title: 'reason', text: (row) => row.reason },
];
const plain = (_tone: string, text: string) => text;

describe('a table', () => {
  const rows: readonly Row[] = [
    { name: 'Office 16', count: '3', reason: 'nothing listens there, or a wall is in between' },
    { name: '事務所', count: '12,345', reason: '' },
  ];

  it('is as wide as its texts where there is no terminal', () => {
    assert.deepEqual(toTableLines(columns, rows, { paint: plain }), [
      'name        count  reason',
      'Office 16       3  nothing listens there, or a wall is in between',
      '事務所     12,345',
    ]);
  });

  it('goes on in the next line where the terminal is narrow', () => {
    assert.deepEqual(toTableLines(columns, rows, { width: 42, paint: plain }), [
      'name        count  reason',
      'Office 16       3  nothing listens there,',
      '                   or a wall is in between',
      '事務所     12,345',
    ]);
  });

  it('leaves out what can be spared before texts get unreadable', () => {
    const [name, count, reason] = columns;
    assert.ok(name && count && reason);
    const some = [
      name,
      { ...count, spare: 2 },
      { title: 'size', text: () => '1,000 MB', spare: 1 },
      reason,
    ];
    const heading = (width: number) =>
      toTableLines(some, rows, { width, paint: plain })[0]?.split(/ {2,}/);
    assert.deepEqual(heading(60), ['name', 'count', 'size', 'reason']);
    assert.deepEqual(heading(44), ['name', 'size', 'reason']);
    assert.deepEqual(heading(30), ['name', 'reason']);
    const leftOut = (width: number) => toTable(some, rows, { width, paint: plain }).leftOut;
    assert.deepEqual([60, 44, 30].map(leftOut), [[], ['count'], ['count', 'size']]);
    const silent = [...some, { title: 'empty', text: () => '', spare: 3 }];
    assert.deepEqual(toTable(silent, rows, { width: 44, paint: plain }).leftOut, ['count']);
    assert.equal(
      toTableLines(some, rows, { paint: plain })[0],
      'name        count  size      reason',
    );
  });

  it('stands row below row where not even its words fit beside each other', () => {
    assert.deepEqual(toTableLines(columns, rows, { width: 22, paint: plain }), [
      'name    Office 16',
      'count   3',
      'reason  nothing listens',
      '        there, or a wall is',
      '        in between',
      '',
      'name   事務所',
      'count  12,345',
    ]);
  });

  it('never breaks a short word', () => {
    const words = rows.flatMap(({ name, reason }) => `${name} ${reason}`.split(' '));
    for (let width = 20; width < 60; width++) {
      const told = toTableLines(columns, rows, { width, paint: plain }).join(' ').split(/\s+/);
      for (const word of words)
        assert.ok(word === '' || told.includes(word), `${word} at ${width}`);
    }
  });

  it('shows control characters of a server escaped', () => {
    const row = { name: 'a\u001b[2J', count: '1\n2', reason: '' };
    assert.deepEqual(toTableLines(columns, [row], { paint: plain }).slice(1), [
      'a\\u001b[2J   1\\n2',
    ]);
  });

  it('never is wider than a terminal of 30 columns or more', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 60 });
    const row = fc.record({ name: text, count: text, reason: text });
    fc.assert(
      fc.property(
        fc.array(row, { maxLength: 4 }),
        fc.integer({ min: 30, max: 100 }),
        (some, width) => {
          for (const line of toTableLines(columns, some, { width, paint: plain })) {
            assert.ok(widthOf(line) <= width, line);
          }
        },
      ),
    );
  });
});

describe('facts', () => {
  it('are aligned; empty ones are left out; long ones go on below', () => {
    const facts = [
      ['name', 'Office 16'],
      ['reason', ''],
      ['description', 'for everybody who writes letters'],
    ] as const;
    assert.deepEqual(toFactLines(facts, { width: 38, paint: plain }), [
      'name         Office 16',
      'description  for everybody who writes',
      '             letters',
    ]);
  });
});
