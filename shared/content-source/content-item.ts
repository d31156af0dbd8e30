/** A file of a content library, as far as sending it goes. */
export interface SendableFile {
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** What one content message carries; `sizeBytes` counts content bytes only. */
export type ContentItem =
  | {
      readonly kind: 'piece';
      readonly file: SendableFile;
      readonly pieceIndex: number;
      readonly sizeBytes: number;
    }
  | { readonly kind: 'files'; readonly files: readonly SendableFile[]; readonly sizeBytes: number };

/** The files an item carries bytes of. */
export function filesOf(item: ContentItem): readonly SendableFile[] {
  return item.kind === 'piece' ? [item.file] : item.files;
}

/** A name under which two readers find the same message. */
export function itemKey(item: ContentItem): string {
  return item.kind === 'piece'
    ? `${item.file.hash}:${item.pieceIndex}`
    : item.files.map(({ hash }) => hash).join(',');
}
