import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { WaybillError } from '../../shared/domain/errors.ts';

/** How often a file, or the tree, is read when it changes meanwhile. */
export const triesMax = 3;

/** Longest path a failure names; of a longer one, beginning and end. */
const pathCharactersMax = 1_000;

/** Something in the source changed while it was read. */
export class SourceChangedError extends Error {
  readonly path: string;
  /** It was tried often enough. */
  readonly isFinal: boolean;

  constructor(path: string, options: { isFinal: boolean }) {
    super(`Source ${path} changed`);
    this.path = path;
    this.isFinal = options.isFinal;
  }
}

/** A path for a person to read. */
export function toShownPath(directory: string, names: readonly string[]): string {
  const path = [directory, ...names].join('/');
  if (path.length <= pathCharactersMax) return path;
  const half = pathCharactersMax / 2;
  return `${path.slice(0, half)} … ${path.slice(-half)}`.toWellFormed();
}

/**
 * What a failed call on something in the source means: gone since it was listed, or not readable.
 */
export function toSourceFailure(error: unknown, path: string): unknown {
  if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) {
    return new SourceChangedError(path, { isFinal: false });
  }
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code === undefined) {
    return error;
  }
  if (error instanceof WaybillError) return error;
  const reason = String((error as NodeJS.ErrnoException).code);
  return new WaybillError({ code: 'SOURCE_UNREADABLE', path, reason }, { cause: error });
}
