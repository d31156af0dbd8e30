import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WaybillError } from '../domain/errors.ts';
import { extractContents, makeEmptyDirectory } from './extract-package.ts';
import { manifestPathOf, toLibraryLayout } from './library-layout.ts';
import { decodePackage } from './package-record.ts';
import { TaskThreads } from './task-threads.ts';

/**
 * Writes a package out of a library that another process may be using: reads only, needs no index.
 * Fails cleanly when the package is replaced meanwhile.
 *
 * @param outDirectory new or empty; a package of several contents gets a folder for each
 * @throws PACKAGE_NOT_HELD, FILE_NOT_HELD, FILE_HASH_MISMATCH, REQUEST_INVALID, DISK_FULL
 */
export async function extractFromDirectory(
  libraryDirectory: string,
  packageId: string,
  outDirectory: string,
): Promise<void> {
  const { dataLibrary, fileLibrary, packageLibrary } = toLibraryLayout(libraryDirectory);
  const text = await readFile(join(packageLibrary, `${packageId}.json`), 'utf8').catch(() => {
    throw new WaybillError({ code: 'PACKAGE_NOT_HELD', packageId });
  });
  const version = decodePackage(text, packageId);
  await makeEmptyDirectory(outDirectory);
  const contents = version.contents.map((descriptor) => ({
    descriptor,
    manifestPath: manifestPathOf(dataLibrary, descriptor.contentId),
    directory:
      version.contents.length === 1 ? outDirectory : join(outDirectory, descriptor.contentId),
  }));
  for (const { directory } of contents) await mkdir(directory, { recursive: true });
  const threads = new TaskThreads();
  try {
    await extractContents(threads, { fileLibrary, contents }, {});
  } finally {
    await threads.stop();
  }
}
