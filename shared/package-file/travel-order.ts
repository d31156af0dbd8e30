/** What decides where a file stands in a package file. */
export interface NamedFile {
  readonly name: string;
  readonly hash: string;
}

/**
 * Order in which files are packed: like beside like, so that one block holds what compresses well
 * together. By extension, then name, whatever directory they are in; the hash settles the rest, so
 * that equal contents make equal files.
 */
export function compareLikeness(a: NamedFile, b: NamedFile): number {
  return (
    compareTexts(extensionOf(a.name), extensionOf(b.name)) ||
    compareTexts(a.name, b.name) ||
    compareTexts(a.hash, b.hash)
  );
}

/** What follows the last dot; nothing for a name without, or that only begins with one. */
function extensionOf(name: string): string {
  const dot = name.lastIndexOf('.');
  return dot <= 0 ? '' : name.slice(dot + 1);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
