import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { type ContentDescriptor, pieceBytes, signatureBytesOf } from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { type ContentFile, ContentFiles } from './content-files.ts';
import { ManifestWriter } from './manifest-writer.ts';

describe('content files', () => {
  let directory: TemporaryDirectory;
  let path: string;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    path = directory.join('manifest');
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  const mtimeNs = '0';
  const hash = 'ab'.repeat(32);

  function write(names: readonly string[], sizeBytes = 3): ContentDescriptor {
    const contentId = 'PS100001.1';
    const signaturePath = directory.join('signature');
    using writer = new ManifestWriter({ contentId, manifestPath: path, signaturePath });
    for (const name of names) {
      writer.add({ type: 'directory', depth: 0, name: `${name} directory`, mode: 0o755, mtimeNs });
      writer.addFile(
        { type: 'file', depth: 1, name, sizeBytes, mode: 0o644, mtimeNs, hash },
        Buffer.alloc(signatureBytesOf(sizeBytes)),
      );
    }
    return writer.finish();
  }

  async function read(files: ContentFiles, descriptor: ContentDescriptor): Promise<ContentFile[]> {
    const found: ContentFile[] = [];
    for await (const batch of files.read(descriptor, path)) found.push(...batch);
    return found;
  }

  /** Another line that would be refused, of the same length. */
  async function damage(): Promise<void> {
    const bytes = await readFile(path);
    bytes.write('X', bytes.length - 4);
    await writeFile(path, bytes);
  }

  it('are the files alone, with their places, the first time and the next', async () => {
    const descriptor = write(['a', 'b'], 2 * pieceBytes);
    const sizeBytes = 2 * pieceBytes;
    const expected = [
      { hash, sizeBytes, entryIndex: 1, signatureOffset: 0 },
      { hash, sizeBytes, entryIndex: 3, signatureOffset: 64 },
    ];
    const files = new ContentFiles();
    assert.deepEqual(await read(files, descriptor), expected);
    assert.deepEqual(await read(files, descriptor), expected);
  });

  it('tell of a manifest that was damaged after it was read', async () => {
    const descriptor = write(['a']);
    const files = new ContentFiles();
    await read(files, descriptor);
    await damage();
    // Its lines are not read again: only the hash tells.
    await assert.rejects(read(files, descriptor), (error) =>
      isErrorWithCode(error, 'CONTENT_HASH_MISMATCH'),
    );
  });

  for (const [name, change] of [
    ['fileCount', { fileCount: 2 }],
    ['contentId', { contentId: 'PS100001.2' }],
    ['sizeBytes', { sizeBytes: 4 }],
  ] as const) {
    it(`of a descriptor with another ${name} are refused though the hash is known`, async () => {
      const descriptor = write(['a']);
      const files = new ContentFiles();
      await read(files, descriptor);
      await assert.rejects(read(files, { ...descriptor, ...change }), (error) =>
        isErrorWithCode(error, 'MANIFEST_INVALID'),
      );
    });
  }

  it('are not remembered when the reading was broken off, too many, or let go of', async () => {
    const descriptor = write(['a', 'b']);
    const brokenOff = new ContentFiles();
    for await (const _ of brokenOff.read(descriptor, path)) break;
    const tooSmall = new ContentFiles(1);
    await read(tooSmall, descriptor);
    const forgetful = new ContentFiles();
    await read(forgetful, descriptor);
    forgetful.forget(descriptor);
    await damage();
    for (const files of [brokenOff, tooSmall, forgetful]) {
      await assert.rejects(read(files, descriptor), (error) =>
        isErrorWithCode(error, 'MANIFEST_INVALID'),
      );
    }
  });

  it('are forgotten oldest first', async () => {
    const files = new ContentFiles(3);
    const older = write(['a', 'b']);
    await read(files, older);
    const newer = write(['c', 'd']);
    await read(files, newer);
    await damage();
    await assert.rejects(read(files, newer), (error) =>
      isErrorWithCode(error, 'CONTENT_HASH_MISMATCH'),
    );
    write(['a', 'b']);
    await damage();
    await assert.rejects(read(files, older), (error) => isErrorWithCode(error, 'MANIFEST_INVALID'));
  });
});
