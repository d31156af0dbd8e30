import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import {
  type ContentDescriptor,
  type ContentEntry,
  compareNames,
  pieceBytes,
  refusalOfName,
  refusalOfTarget,
  signatureBytesOf,
} from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { hashOf } from './content-hash.ts';
import { EntryOrder } from './entry-order.ts';
import { encodeEntry, encodeHeader, headerBytes, type ManifestHeader } from './manifest-format.ts';
import { openManifest } from './manifest-reader.ts';
import { ManifestWriter } from './manifest-writer.ts';

describe('manifest', function () {
  this.timeout(30_000);
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await TemporaryDirectory.create();
  });
  after(async () => directory[Symbol.asyncDispose]());

  const hash = 'ab'.repeat(32);
  const mtimeNs = '1700000000123456789';
  const file = (depth: number, name: string, sizeBytes = 3): ContentEntry => ({
    ...{ type: 'file', depth, name, sizeBytes, mode: 0o644, mtimeNs, hash },
  });
  const small: ContentEntry[] = [
    { type: 'directory', depth: 0, name: 'bin', mode: 0o755, mtimeNs },
    file(1, 'big', 3 * pieceBytes + 1),
    file(1, 'run', 0),
    { type: 'symlink', depth: 1, name: 'up', target: '../readme', mtimeNs: '-5' },
    file(0, 'readme\n📦', 2 * pieceBytes),
  ];

  function write(entries: readonly ContentEntry[]): {
    descriptor: ContentDescriptor;
    path: string;
  } {
    const path = directory.join('m');
    using writer = new ManifestWriter({
      contentId: 'PS100001.1',
      manifestPath: path,
      signaturePath: directory.join('s'),
    });
    for (const entry of entries) {
      assert.equal(writer.refusalOfNext(entry), undefined);
      if (entry.type === 'file')
        writer.addFile(entry, Buffer.alloc(signatureBytesOf(entry.sizeBytes), 7));
      else writer.add(entry);
    }
    return { descriptor: writer.finish(), path };
  }

  async function read(path: string, descriptor: ContentDescriptor) {
    const entries = [];
    for await (const batch of openManifest(path, descriptor).entries()) {
      assert.ok(batch.length <= 2_000);
      entries.push(...batch);
    }
    return entries;
  }

  it('gives back what was written, with the place of each in manifest and signature', async () => {
    const { descriptor, path } = write(small);
    assert.deepEqual(
      await read(path, descriptor),
      small.map((entry, index) => ({
        entry,
        index,
        signatureOffset: [0, 0, 4 * 32, 4 * 32, 4 * 32][index],
      })),
    );
    assert.deepEqual(descriptor, {
      ...{ contentId: 'PS100001.1', entryCount: 5, fileCount: 3, sizeBytes: 5 * pieceBytes + 1 },
      manifestBytes: (await readFile(path)).length,
      signatureBytes: 6 * 32,
      contentHash: hashOf((await readFile(path)).subarray(headerBytes)),
      signatureHash: hashOf(await readFile(directory.join('s'))),
    });
  });

  it('reads an empty content, and one of many batches', async () => {
    const empty = write([]);
    assert.deepEqual(await read(empty.path, empty.descriptor), []);
    const many = Array.from({ length: 10_000 }, (_, index) =>
      file(0, String(index).padStart(200, '0')),
    );
    const { descriptor, path } = write(many);
    assert.equal((await read(path, descriptor)).length, 10_000);
  });

  const entryArbitrary = fc.record({
    name: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .filter((name) => refusalOfName(name) === undefined),
    depth: fc.nat(3),
    kind: fc.constantFrom('file', 'directory', 'symlink'),
    mode: fc.nat(0o7777),
    sizeBytes: fc.oneof(fc.nat(10), fc.integer({ min: pieceBytes - 1, max: 4 * pieceBytes })),
    mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    target: fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  });
  /** Any valid tree: what is out of order, too deep or refused is left out. */
  const treeArbitrary = fc.array(entryArbitrary, { maxLength: 30 }).map((drafts) => {
    const order = new EntryOrder();
    return drafts
      .sort((a, b) => compareNames(a.name, b.name))
      .flatMap(({ name, depth, kind, mode, sizeBytes, mtimeNs: time, target }): ContentEntry[] => {
        const entry: ContentEntry =
          kind === 'file'
            ? { type: 'file', depth, name, sizeBytes, mode, mtimeNs: time, hash }
            : kind === 'directory'
              ? { type: 'directory', depth, name, mode, mtimeNs: time }
              : { type: 'symlink', depth, name, target, mtimeNs: time };
        if (entry.type === 'symlink' && refusalOfTarget(depth, target) !== undefined) return [];
        return order.refusalOfNext(entry) === undefined ? [entry] : [];
      });
  });

  it('round-trips every tree, and the same tree has the same hash', async () => {
    await fc.assert(
      fc.asyncProperty(treeArbitrary, async (entries) => {
        const { descriptor, path } = write(entries);
        assert.deepEqual(
          (await read(path, descriptor)).map(({ entry }) => entry),
          entries,
        );
        assert.deepEqual(write(entries).descriptor, descriptor);
      }),
    );
  });

  it('never takes an altered manifest (SEC-4)', async () => {
    await fc.assert(
      fc.asyncProperty(
        treeArbitrary,
        fc.array(
          fc.record({
            at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
            byte: fc.nat(255),
            cut: fc.nat(3),
          }),
          { minLength: 1, maxLength: 4 },
        ),
        async (entries, changes) => {
          const { descriptor, path } = write(entries);
          const original = await readFile(path);
          let bytes = original;
          for (const { at, byte, cut } of changes) {
            const place = Math.floor(at * bytes.length);
            bytes = Buffer.concat([
              bytes.subarray(0, place),
              Buffer.from([byte]),
              bytes.subarray(place + cut),
            ]);
          }
          await writeFile(path, bytes);
          // Even if the descriptor promises the altered length.
          for (const manifestBytes of [descriptor.manifestBytes, bytes.length]) {
            const reading = read(path, { ...descriptor, manifestBytes });
            if (bytes.equals(original)) await reading;
            else
              await assert.rejects(reading, (error) =>
                isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
              );
          }
        },
      ),
    );
  });

  /** A manifest of these lines whose hash and length are right, as a hostile peer would make it. */
  async function hostile(lines: readonly string[], header: Partial<ManifestHeader> = {}) {
    const body = Buffer.from(lines.map((line) => `${line}\n`).join(''));
    const counts = {
      contentId: 'PS100001.1',
      entryCount: lines.length,
      fileCount: 0,
      sizeBytes: 0,
      ...header,
    };
    const path = directory.join('hostile');
    await writeFile(path, Buffer.concat([Buffer.from(encodeHeader(counts)), body]));
    const descriptor = {
      ...counts,
      contentHash: hashOf(body),
      signatureHash: hash,
      signatureBytes: 0,
      manifestBytes: headerBytes + body.length,
    };
    return { path, descriptor };
  }

  const fileLine = (fields: unknown[]) =>
    JSON.stringify(
      ['f', 0, 'a', 0, 0o644, '0', hash].map((field, index) => fields[index] ?? field),
    );
  const refused: [string, string[], RegExp, Partial<ManifestHeader>?][] = [
    ['a name that leads up', ['["d",0,"..",493,"0"]'], /the name is/],
    ['a name with a slash', ['["d",0,"a/b",493,"0"]'], /slash/],
    ['an absolute name', ['["d",0,"/etc",493,"0"]'], /slash/],
    ['a name with NUL', ['["d",0,"a\\u0000",493,"0"]'], /NUL/],
    ['half a surrogate', ['["d",0,"\\ud800",493,"0"]'], /UTF-8/],
    ['an over-long name', [`["d",0,"${'é'.repeat(128)}",493,"0"]`], /longer than/],
    ['a link out of the tree', ['["l",0,"a","../b","0"]'], /outside/],
    ['a link up after a name', ['["l",0,"a","b/../../c","0"]'], /after a name/],
    ['an absolute link', ['["l",0,"a","/etc/passwd","0"]'], /absolute/],
    ['a negative size', [fileLine(['f', 0, 'a', -1])], /size/],
    ['a size that is no safe integer', [`["f",0,"a",9007199254740992,420,"0","${hash}"]`], /size/],
    ['a fraction', [`["f",0,"a",1.5,420,"0","${hash}"]`], /size/],
    [
      'sizes that add up to too much',
      [
        fileLine(['f', 0, 'a', Number.MAX_SAFE_INTEGER]),
        fileLine(['f', 0, 'b', Number.MAX_SAFE_INTEGER]),
      ],
      /too large/,
      { fileCount: 2 },
    ],
    ['a mode with more than permissions', ['["d",0,"a",32768,"0"]'], /mode/],
    ['a time that is a number', ['["d",0,"a",493,0]'], /mtimeNs/],
    ['a time beyond 64 bits', ['["d",0,"a",493,"9223372036854775808"]'], /64 bits/],
    ['a time with a leading zero', ['["d",0,"a",493,"01"]'], /mtimeNs/],
    ['a hash in upper case', [`["f",0,"a",0,420,"0","${'AB'.repeat(32)}"]`], /hexadecimal/],
    ['another spelling', ['["d", 0,"a",493,"0"]'], /canonical/],
    ['an escape that is not needed', ['["d",0,"\\u0061",493,"0"]'], /canonical/],
    ['a field more', ['["d",0,"a",493,"0",1]'], /canonical/],
    ['a kind nobody knows', ['["x",0,"a"]'], /kind/],
    ['an object', ['{"type":"d"}'], /array/],
    ['no JSON', ['["d",0'], /JSON/],
    ['an empty line', [''], /JSON/],
    ['names out of order', ['["d",0,"b",493,"0"]', '["d",0,"a",493,"0"]'], /order/],
    [
      'two names that are one after normalisation',
      ['["d",0,"e\u0301",493,"0"]', '["d",0,"\u00e9",493,"0"]'],
      /normalised/,
    ],
    ['fewer entries than promised', [], /entryCount adds up/, { entryCount: 1 }],
    ['another number of files', [], /fileCount adds up/, { fileCount: 1 }],
    ['another sum of sizes', [], /sizeBytes adds up/, { sizeBytes: 1 }],
    [
      'a signature of another length',
      [fileLine(['f', 0, 'a', 2 * pieceBytes])],
      /signatureBytes adds up/,
      { fileCount: 1, sizeBytes: 2 * pieceBytes },
    ],
    ['a line without end', [`["d",0,"${'a'.repeat(40_000)}`], /a line is over/],
    ['a line that never ends', ['x'.repeat(2_000_000)], /a line is over/],
  ];
  for (const [name, lines, reason, header] of refused) {
    it(`refuses ${name}, although its hash is right (SEC-4)`, async () => {
      const { path, descriptor } = await hostile(lines, header);
      await assert.rejects(read(path, descriptor), (error) => {
        assert.ok(isErrorWithCode(error, 'MANIFEST_INVALID'), String(error));
        assert.match(error.message, reason);
        return true;
      });
    });
  }

  it('refuses a header of another content or other counts, and a cut file', async () => {
    const { descriptor, path } = write(small);
    const invalid = (error: unknown) => isErrorWithCode(error, 'MANIFEST_INVALID');
    await assert.rejects(read(path, { ...descriptor, contentId: 'PS100002.1' }), invalid);
    await assert.rejects(read(path, { ...descriptor, entryCount: 6 }), invalid);
    await assert.rejects(
      read(path, { ...descriptor, manifestBytes: descriptor.manifestBytes + 1 }),
      invalid,
    );
    const bytes = await readFile(path);
    for (const end of [0, 10, headerBytes - 1, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, end));
      await assert.rejects(read(path, { ...descriptor, manifestBytes: end }), invalid);
    }
  });

  it('says that a content is not held when there is no manifest', async () => {
    const { descriptor } = write(small);
    const reading = read(directory.join('none'), descriptor);
    await assert.rejects(reading, (error) => isErrorWithCode(error, 'CONTENT_NOT_HELD'));
  });

  it('encodes an entry the same way for ever', () => {
    assert.deepEqual(small.map(encodeEntry), [
      '["d",0,"bin",493,"1700000000123456789"]',
      `["f",1,"big",3145729,420,"1700000000123456789","${hash}"]`,
      `["f",1,"run",0,420,"1700000000123456789","${hash}"]`,
      '["l",1,"up","../readme","-5"]',
      `["f",0,"readme\\n📦",2097152,420,"1700000000123456789","${hash}"]`,
    ]);
  });
});
