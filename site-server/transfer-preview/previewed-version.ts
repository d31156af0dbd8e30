import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { EstimatedContent } from '../../shared/package-file/package-file-maker.ts';

/** A version that would travel, where it is: in the library, or in a source that was read. */
export interface PreviewedVersion extends AsyncDisposable {
  readonly version: PackageVersion;
  /** Its contents, in order; they stay until this is disposed of. */
  readonly contents: readonly EstimatedContent[];
  /** How its files can be made from older ones, by the hash of the file. */
  readonly deltas: ReadonlyMap<string, Delta>;
}

/** The version of a package that is in the library; undefined when another one is, or none. */
export async function openStoredVersion(
  library: Pick<ContentLibrary, 'getPackage' | 'openContent' | 'deltasOf'>,
  packageId: string,
  sourceVersion: number,
): Promise<PreviewedVersion | undefined> {
  const version = await library.getPackage(packageId);
  if (version?.sourceVersion !== sourceVersion) return undefined;
  const kept = new Kept();
  const contents: EstimatedContent[] = [];
  const deltas = new Map<string, Delta>();
  try {
    for (const { contentId } of version.contents) {
      contents.push(kept.use(await library.openContent(contentId)));
      for (const delta of await library.deltasOf(contentId)) deltas.set(delta.fileHash, delta);
    }
  } catch (error) {
    await kept.letGo();
    // A newer version took its place in this very moment.
    if (isErrorWithCode(error, 'CONTENT_NOT_HELD')) return undefined;
    throw error;
  }
  return { version, contents, deltas, [Symbol.asyncDispose]: () => kept.letGo() };
}

/** What is let go of together, the last one first. */
export class Kept {
  readonly #letGo: (() => Promise<void> | PromiseLike<void>)[] = [];

  use<T extends AsyncDisposable>(one: T): T {
    this.#letGo.push(() => one[Symbol.asyncDispose]());
    return one;
  }

  defer(letGo: () => Promise<void>): void {
    this.#letGo.push(letGo);
  }

  /** Safe twice. */
  async letGo(): Promise<void> {
    for (const one of this.#letGo.splice(0).reverse()) await one();
  }
}
