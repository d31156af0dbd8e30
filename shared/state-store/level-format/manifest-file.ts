import { ByteReader } from './byte-reader.ts';

/** What a MANIFEST says the database is made of. */
export interface LiveFiles {
  /** Number of each table → its size in bytes. */
  readonly tables: ReadonlyMap<number, number>;
  /** The oldest log that is still needed; 0 in a database nobody has opened yet. */
  readonly logNumber: number;
}

/**
 * Adds up the edits of a MANIFEST.
 *
 * @throws RangeError when a record is not an edit
 * @see https://github.com/google/leveldb/blob/main/db/version_edit.cc (EncodeTo)
 */
export function liveFilesOf(records: readonly Buffer[]): LiveFiles {
  const tables = new Map<number, number>();
  let logNumber = 0;
  for (const record of records) {
    const edit = readEdit(record);
    for (const number of edit.deleted) tables.delete(number);
    for (const [number, sizeBytes] of edit.added) tables.set(number, sizeBytes);
    logNumber = edit.logNumber ?? logNumber;
  }
  return { tables, logNumber };
}

interface Edit {
  readonly added: [number, number][];
  readonly deleted: number[];
  logNumber: number | undefined;
}

function readEdit(record: Buffer): Edit {
  const reader = new ByteReader(record);
  const edit: Edit = { added: [], deleted: [], logNumber: undefined };
  while (!reader.isAtEnd) {
    const tag = reader.varint();
    const readField = fieldReaders[tag];
    if (!readField) throw new RangeError(`an edit has the unknown field ${tag}`);
    readField(reader, edit);
  }
  return edit;
}

const fieldReaders: Readonly<Record<number, (reader: ByteReader, edit: Edit) => void>> = {
  // comparator
  1: (reader) => reader.lengthPrefixed(),
  2: (reader, edit) => {
    edit.logNumber = reader.varint();
  },
  // next file number, last sequence
  3: (reader) => reader.varint(),
  4: (reader) => reader.varint(),
  // compaction pointer: level, key
  5: (reader) => {
    reader.varint();
    reader.lengthPrefixed();
  },
  6: (reader, edit) => {
    reader.varint(); // level
    edit.deleted.push(reader.varint());
  },
  7: (reader, edit) => {
    reader.varint(); // level
    edit.added.push([reader.varint(), reader.varint()]);
    reader.lengthPrefixed(); // smallest key
    reader.lengthPrefixed(); // largest key
  },
  // previous log number, which today's LevelDB no longer uses
  9: (reader) => reader.varint(),
};
