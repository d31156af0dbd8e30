import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { ArrivingContent, ArrivingContents } from './arriving-contents.ts';
import { type ContentName, isNamed } from './content-name.ts';

/** What of a named content is here: in the library, or arriving. Under other hashes it is not here. */
export class HeldContents {
  readonly #library: Pick<ContentLibrary, 'openContent'>;
  readonly #arriving: ArrivingContents;

  constructor(library: Pick<ContentLibrary, 'openContent'>, arriving: ArrivingContents) {
    this.#library = library;
    this.#arriving = arriving;
  }

  /** Opens it in the library, under a lease that the caller ends; undefined when it is not there. */
  async open(name: ContentName): Promise<ContentReader | undefined> {
    const reader = await this.#library.openContent(name.contentId).catch((error: unknown) => {
      if (!isErrorWithCode(error, 'CONTENT_NOT_HELD')) throw error;
      return undefined;
    });
    if (!reader || isNamed(reader.descriptor, name)) return reader;
    await reader[Symbol.asyncDispose]();
    return undefined;
  }

  /** Whether the library holds it now; no lease is kept. */
  async isHeld(name: ContentName): Promise<boolean> {
    const reader = await this.open(name);
    await reader?.[Symbol.asyncDispose]();
    return reader !== undefined;
  }

  /** It, when it is just arriving. */
  findArriving(name: ContentName): ArrivingContent | undefined {
    const content = this.#arriving.find(name.contentId);
    return content && isNamed(content.descriptor, name) ? content : undefined;
  }
}
