/** Parsers of what lies on a disk: the files of the state store, records, and lines of logs. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import {
  decodePackage,
  encodePackage,
  packageHashOf,
} from '../../shared/content-library/package-record.ts';
import { toLogJson, toLogText } from '../../shared/runtime/log-text.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { readLog } from '../../shared/state-store/level-format/log-file.ts';
import { liveFilesOf } from '../../shared/state-store/level-format/manifest-file.ts';
import { snappyUncompressed } from '../../shared/state-store/level-format/snappy.ts';
import { checkTable } from '../../shared/state-store/level-format/table-file.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import type { FuzzTarget } from './fuzz-target.ts';

/** The files of a small store: LevelDB puts what stands in a log into a table when it opens it again. */
async function storeFiles(pattern: RegExp): Promise<Buffer[]> {
  await using directory = await TemporaryDirectory.create();
  const path = directory.join('store');
  for (let round = 0; round < 2; round++) {
    const { store } = await StateStore.open({ directory: path, logger: new CapturedLog().logger });
    const rows = store.records(keySpaces.administrators);
    const row = { identityUri: 'waybill://admin/full/a', createdAtMs: 5, createdBy: '' } as never;
    const names = Array.from({ length: 20 }, (_, index) => `admin-${round}-${index}`);
    await store.write(
      names.map((name) => rows.put(name, row)),
      { sync: true },
    );
    await store.close();
  }
  const names = (await readdir(path)).filter((name) => pattern.test(name));
  return Promise.all(names.map((name) => readFile(`${path}/${name}`)));
}

/** Refused as no such file, or taken. */
function ranging<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const hash = hashOf(Buffer.from('a'));
const contents = [
  {
    ...{ contentId: 'PS100001.1', contentHash: hash, signatureHash: hash, manifestBytes: 10 },
    ...{ signatureBytes: 0, entryCount: 1, fileCount: 1, sizeBytes: 1 },
  },
];
const record = encodePackage({
  ...{ packageId: 'PS100001', sourceVersion: 1, packageHash: packageHashOf(contents) },
  ...{ jobSerial: 1, contents },
  properties: {
    ...{ name: 'A', version: '1', manufacturer: '', language: '', description: '' },
    ...{ priority: 2, programs: [{ name: 'x', commandLine: 'y' }], iconName: '', iconBase64: '' },
  },
});

const logLine = {
  ...{ level: 30, time: 1_700_000_000_000, component: 'sender', msg: 'Content transferred' },
  ...{ sizeBytes: 5, err: { message: 'no', stack: 'a\nb' } },
};
const unpainted = { timeZone: 'UTC', paint: (_tone: unknown, text: string) => text } as const;
// biome-ignore lint/suspicious/noControlCharactersInRegex: that none of them gets through is the point
const unseen = /[\u0000-\u0009\u000b-\u001f\u202e]/;

export const diskTargets: readonly FuzzTarget[] = [
  {
    name: 'store-table',
    form: 'bytes',
    seeds: () => storeFiles(/\.ldb$/),
    parse: (input) => {
      for (const { reason } of checkTable(input)) assert.notEqual(reason, '');
    },
  },
  {
    name: 'store-log',
    form: 'bytes',
    seeds: () => storeFiles(/^(MANIFEST-.*|.*\.log)$/),
    parse: (input) => {
      const { records } = readLog(input);
      const sizeBytes = records.reduce((sum, one) => sum + one.length, 0);
      assert.ok(sizeBytes <= input.length);
      const live = ranging(() => liveFilesOf(records));
      if (live) assert.ok(live.logNumber >= 0);
    },
  },
  {
    name: 'store-block',
    form: 'bytes',
    // 12 bytes: 8 of them a literal, 4 a copy of what stands before.
    seeds: () => [
      Buffer.concat([Buffer.of(12, 28), Buffer.from('abcdefgh'), Buffer.of(((4 - 4) << 2) | 1, 8)]),
      Buffer.concat([Buffer.of(72, 28), Buffer.from('abcdefgh'), Buffer.of((63 << 2) | 2, 8, 0)]),
    ],
    parse: (input) => {
      ranging(() => snappyUncompressed(input));
    },
  },
  {
    name: 'package-record',
    form: 'json',
    words: ['"format":', '"contents":[', hash, 'PS100001'],
    seeds: () => [Buffer.from(record)],
    parse: (input) => {
      let read: ReturnType<typeof decodePackage>;
      try {
        read = decodePackage(input.toString('utf8'), 'PS100001');
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof TypeError), String(error));
        return;
      }
      assert.deepEqual(decodePackage(encodePackage(read), 'PS100001'), read);
    },
  },
  {
    name: 'log-lines',
    form: 'json',
    words: ['"time":', '"level":', '"err":', '\\u001b[2J', '\u202e'],
    seeds: () => [Buffer.from(JSON.stringify(logLine)), Buffer.from('a line of another program')],
    parse: (input) => {
      const line = input.toString('utf8');
      assert.doesNotMatch(toLogText(line, unpainted), unseen);
      assert.doesNotMatch(toLogJson(line), unseen);
    },
  },
];
