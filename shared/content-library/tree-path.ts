import type { ContentEntry } from '../domain/content.ts';

/** Where in the tree each entry stands, as a manifest is gone through in its order. */
export class TreePath {
  readonly #names: string[] = [];

  /** The entry that comes next. */
  next({ depth, name }: Pick<ContentEntry, 'depth' | 'name'>): void {
    this.#names.length = depth;
    this.#names.push(name);
  }

  /** Path of that entry from the root of the content, with `/`. */
  get path(): string {
    return this.#names.join('/');
  }
}
